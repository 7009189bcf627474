"""Tables hold the numbers of the logs, in every format."""

import csv
import io

import numpy as np
import pytest

from rsmooth.report import build_table, load_runs, to_csv, to_latex, to_markdown
from rsmooth.report.tables import duration, escape_latex
from tests.report.by_hand import run_of, write_run, write_tables


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


def test_latex_is_escaped_and_knows_both_layouts():
    table = build_table([run_of("100% {a_b}\\&")], [0.25])
    plain, superscript = to_latex(table), to_latex(table, clean_as_superscript=True)
    assert (
        r"100\% \{a\_b\}\textbackslash{}\& & - & 4 & 100.0 $\pm$ 0.0 & 50.0 $\pm$ 25.0 &" in plain
    )
    assert "& clean &" in plain
    assert "clean" not in superscript
    assert r"& 4 & 50.0 $\pm$ 25.0$^{(100.0)}$ & 0.250" in superscript
    for text in (plain, superscript):
        widths = {line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")}
        assert len(widths) == 1
        assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert escape_latex("a^b~σ") == r"a\textasciicircum{}b\textasciitilde{}$\sigma$"


def test_markdown_names_with_bars_stay_in_their_column():
    lines = to_markdown(build_table([run_of("a|b")], [])).splitlines()
    assert lines[2].startswith("| a\\|b | - |")


@pytest.mark.parametrize(
    ("trainer", "shown"),
    [
        ({"name": "gaussian", "budget_seconds": 360, "budget_clock": "process"}, "6.1 min CPU"),
        (
            {"name": "gaussian", "budget_seconds": 360},
            "6.1 min CPU",
        ),  # what a budget counts by default
        ({"name": "gaussian", "budget_seconds": 360, "budget_clock": "wall"}, "18.9 min"),
        ({"name": "gaussian", "epochs": 3}, "18.9 min"),
        ("gaussian", "18.9 min"),
    ],
)
def test_training_time_is_of_the_clock_that_the_budget_counts_by(trainer, shown, tmp_path):
    times = {"wall": 1131.7, "cpu": 368.35}
    folder = write_run(tmp_path / "a", [900, 400], training=times, train={"trainer": trainer})
    table = build_table(load_runs([folder]), [0.25])
    assert f"| {shown} | 1 s |" in to_markdown(table)
    row = next(csv.DictReader(io.StringIO(to_csv(table))))
    assert (row["train_seconds"], row["train_cpu_seconds"]) == ("1131.7", "368.35")


def test_durations():
    assert [duration(s) for s in (0.5, 42, 200, 7200)] == ["0.5 s", "42 s", "3.3 min", "2.0 h"]
