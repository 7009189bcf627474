"""CSV holds the numbers of the table, and names the norm of its radii; LaTeX: test_paper.py."""

import csv
import io

import numpy as np
import pytest

from rsmooth.report import build_table, load_runs, to_csv
from rsmooth.report.runs import Run
from tests.report.by_hand import UNIFORM, linf_log, run_of, write_tables


def test_csv_holds_full_precision(tmp_path):
    table = build_table(load_runs(write_tables(tmp_path)), [0.25, 1 / 3])
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["method"] for row in rows] == [
        "weak",
        "strong",
        "upper envelope",
        "constant classifier",
    ]
    assert float(rows[0]["certified@0.25_se"]) == np.sqrt(0.25 * 0.75 / 4)
    assert rows[0]["sigma"] == rows[2]["acr"] == ""
    assert float(rows[1]["certify_seconds"]) == 80.0
    assert float(rows[1]["acr"]) == pytest.approx(0.475, rel=1e-15)


def test_csv_says_what_the_radii_of_each_row_are():
    table = build_table([Run("x", linf_log(method="cascade", sound=False))], [2 / 255])
    row, constant = csv.DictReader(io.StringIO(to_csv(table)))
    assert (row["norm"], row["kind"], row["alpha"]) == ("linf", "deterministic", "")
    assert row["certificate"] == "cascade (not sound)"
    assert (row["noise"], row["certified@2/255"]) == ("", "0.5")
    assert (constant["norm"], constant["certificate"]) == ("linf", "")
    uniform = next(csv.DictReader(io.StringIO(to_csv(build_table([run_of("u", UNIFORM)], [])))))
    assert (uniform["norm"], uniform["alpha"], uniform["noise"], uniform["sigma"]) == (
        "l1",
        "0.001",
        "uniform λ=0.5",
        "",
    )
