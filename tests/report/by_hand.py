"""Small logs and runs, written by hand."""

import json

from rsmooth.records.files import write_log
from rsmooth.records.journal import Journal
from rsmooth.records.log import CertificationLog
from rsmooth.report import Run

HEAD = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
WEAK = (
    HEAD
    + "0\t1\t1\t0.30\t1\t10\n1\t0\t0\t0.20\t1\t10\n2\t1\t0\t0.60\t0\t10\n3\t1\t-1\t0.0\t0\t10\n"
)
STRONG = HEAD + (
    "0\t1\t1\t0.8000\t1\t0:00:20\n1\t0\t1\t0.1000\t0\t0:00:20\n2\t1\t1\t0.6000\t1\t0:00:20\n"
    "3\t1\t1\t0.5000\t1\t0:00:20\n"
)
HEADER = {
    "sigma": 0.25,
    "n0": 10,
    "n": 1000,
    "alpha": 0.001,
    "mode": "fixed",
    "target": "predict",
    "seed": 0,
    "noise": {"kind": "grid"},
    "dataset": {"name": "digits", "split": "test", "fingerprint": "abc"},
    "model": {"hash": "123"},
}


def write_tables(folder):
    for name, text in (("weak", WEAK), ("strong", STRONG)):
        (folder / name).write_text(text)
    return [folder / "weak", folder / "strong"]


def write_run(folder, hits, header=HEADER, seconds=7200.0, trainer=None):
    """A run folder as ``rsmooth train`` and ``rsmooth certify`` leave it."""
    with Journal(folder / "certificates.jsonl", header) as journal:
        for idx, votes in enumerate(hits):
            won = votes > 600
            journal.append(
                "image",
                {
                    "idx": idx,
                    "label": idx % 2,
                    "predict": idx % 2 if won else -1,
                    "radius": 0.001 * (votes - 600) * won,
                    "correct": won,
                    "seconds": 0.5,
                    "selection": [5, 5],
                    "n": 1000,
                    "invalid": 0,
                    "counts": [votes, 1000 - votes] if idx % 2 == 0 else [1000 - votes, votes],
                },
            )
    wall = {"name": "gaussian", "budget_clock": "wall"}
    (folder / "config.yaml").write_text(json.dumps({"sigma": 0.25, "trainer": trainer or wall}))
    rows = [{"epoch": 0, "seconds": seconds / 2}, {"epoch": 1, "seconds": seconds}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def run_of(name="run", provenance=None, **columns):
    log = {
        "idx": [0, 1, 2, 3],
        "label": [0, 0, 1, 1],
        "predict": [0, 0, 1, 1],
        "radius": [0.1, 0.2, 0.3, 0.4],
        "correct": [1, 1, 1, 1],
        "time": [1, 1, 1, 1],
        "provenance": provenance or {},
        **columns,
    }
    return Run(name, CertificationLog(**log))


UNIFORM = {
    "statement": {
        "norm": "l1",
        "kind": "probabilistic",
        "method": "uniform smoothing",
        "alpha": 0.001,
    },
    "noise": {"distribution": {"name": "uniform", "half_width": 0.5}, "arithmetic": "integer"},
    "n0": 10,
    "n": 1000,
    "alpha": 0.001,
    "mode": "fixed",
    "target": "predict",
}


def linf_log(radius=(2 / 255, 2 / 255, 0.0, 1 / 255), *, method="ibp", sound=True, **more):
    """An IBP log of four images, all answered rightly; radii proved on a grid of two."""
    return CertificationLog.deterministic(
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        radius,
        norm="linf",
        method=method,
        sound=sound,
        epsilons=[1 / 255, 2 / 255],
        time=[2.0] * 4,
        **more,
    )


def write_three(folder):
    """A Gaussian, a uniform and an IBP log of the same four images."""
    paths = [folder / name for name in ("gauss.tsv", "uniform.tsv", "ibp.tsv")]
    logs = (run_of(provenance=HEADER).log, run_of(provenance=UNIFORM).log, linf_log())
    for path, log in zip(paths, logs, strict=True):
        write_log(log, path)
    return paths
