"""Tables hold the numbers of the logs, in every format."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.report import build_table, load_runs, to_csv, to_latex, to_markdown
from rsmooth.report.runs import Run, TrainingTime
from rsmooth.report.tables import duration, escape_latex
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


def test_latex_is_escaped_and_names_the_norm():
    text = to_latex(build_table([run_of("100% {a_b}\\&", UNIFORM)], [0.25]))
    name = r"100\% \{a\_b\}\textbackslash{}\&"
    row = rf"{name} & uniform $\lambda$=0.5 & 4 & 100.0 $\pm$ 0.0 & 50.0 $\pm$ 25.0 &"
    assert row in text
    assert "& clean &" in text
    assert r"\multicolumn{9}{l}{Certified at $\ell_1$ radii, probabilistic} \\" in text
    lines = [line for line in text.splitlines() if line.endswith(r"\\") and "multi" not in line]
    assert {line.count(" & ") for line in lines} == {8}
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert escape_latex("a^b~σ") == r"a\textasciicircum{}b\textasciitilde{}$\sigma$"


def test_a_table_has_one_norm_and_one_kind():
    with pytest.raises(RecordError, match="log 1 states l1 radii and log 0 l2 radii"):
        build_table([run_of("a"), run_of("b", UNIFORM)], [0.25])
    with pytest.raises(RecordError, match="log 1 states linf radii"):
        build_table([run_of("a"), Run("b", linf_log())], [0.25])


def test_deterministic_rows_have_no_average_radius_and_no_noise():
    run, constant = build_table([Run("ibp", linf_log())], [1 / 255]).rows
    assert (run.acr, run.acr_error, run.noise, run.sigma) == (None, None, None, None)
    assert constant.acr is None
    assert constant.accuracy == (0.5, 0.5)


def test_markdown_names_with_bars_stay_in_their_column():
    lines = to_markdown(build_table([run_of("a|b")], [])).splitlines()
    assert lines[2].startswith("| a\\|b | - |")


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (TrainingTime(1131.7, 368.35, by_cpu=True), "6.1 min CPU"),
        (TrainingTime(1131.7, 368.35), "18.9 min"),
        (TrainingTime(cpu=368.35), "6.1 min CPU"),
        (TrainingTime(wall=1131.7), "18.9 min"),
        (TrainingTime(), "-"),
        (None, "-"),
    ],
)
def test_training_time_is_of_the_clock_that_the_budget_counts_by(time, shown):
    table = build_table([replace(run_of(), training=time)], [0.25])
    assert f"| {shown} | 4 s |" in to_markdown(table)
    row = next(csv.DictReader(io.StringIO(to_csv(table))))
    expected = [] if time is None else [time.wall, time.cpu]
    assert [row["train_seconds"], row["train_cpu_seconds"]] == [
        "" if value is None else str(value) for value in expected or [None, None]
    ]


def test_durations():
    assert [duration(s) for s in (0.5, 42, 200, 7200)] == ["0.5 s", "42 s", "3.3 min", "2.0 h"]
