"""Tables hold the numbers of the logs; CSV and LaTeX: test_formats.py."""

import csv
import io
from dataclasses import replace

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.report import build_table, to_csv, to_markdown
from rsmooth.report.runs import Run
from rsmooth.report.tables import duration
from rsmooth.report.training_time import TrainingTime
from tests.report.by_hand import UNIFORM, linf_log, run_of


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
