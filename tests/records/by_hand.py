"""Small logs and journals, written by hand."""

import numpy as np

from rsmooth.records.journal import Journal
from rsmooth.records.log import COLUMNS, CertificationLog

HEAD = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"


HEADER = {"sigma": 0.25, "n0": 10, "n": 100, "alpha": 0.001, "mode": "fixed", "seed": 0}


def image(idx, label=3, predict=3, radius=0.2, **more):
    return {
        "idx": idx,
        "label": label,
        "predict": predict,
        "radius": radius,
        "correct": predict == label,
        "seconds": 1.5,
        "counts": [5, 5, 0, 90],
        "selection": [1, 0, 0, 9],
        "invalid": 0,
        "n0": 10,
        "n": 100,
        **more,
    }


def write_journal(path, images, header=HEADER):
    with Journal(path, header) as journal:
        for record in images:
            journal.append("look", {"idx": record["idx"]})
            journal.append("image", record)


def assert_same_table(first, second):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def some_log(**change):
    columns = {
        "idx": [4, 2],
        "label": [3, 1],
        "predict": [3, -1],
        "radius": [1 / 3, 0.0],
        "correct": [True, False],
        "time": [1.25, 3.0],
        "provenance": HEADER,
    }
    return CertificationLog(**{**columns, **change})


ROW = {"idx": [3], "label": [1], "predict": [1], "radius": [0.5], "correct": [1], "time": [1.0]}


UNIFORM = {
    "noise": {"distribution": {"name": "uniform", "half_width": 0.5}, "arithmetic": "integer"},
    "alpha": 0.001,
}
