"""The harness's report on logs written by hand; on finished arms: test_runner.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.arm import SUMMARY
from benchmarks.report import _training_time, report_runs
from rsmooth.records.files import write_log
from rsmooth.records.log import CertificationLog
from rsmooth.report.runs import TrainingTime


def test_published_l2_rows_are_not_set_beside_other_norms(tmp_path: Path) -> None:
    """They are l2; an linf log stands beside the linf figures alone, at its own value."""
    radius = np.where(np.arange(500) < 425, 2 / 255, 0.0)
    log = CertificationLog.deterministic(
        np.ones(500, int),
        np.ones(500, int),
        radius,
        norm="linf",
        method="ibp",
        idx=20 * np.arange(500),
    )
    write_log(log, tmp_path / "ibp")
    text = report_runs(
        [tmp_path / "ibp"], title="x", reference="cifar10", linf=[2 / 255], out=tmp_path / "out"
    )
    assert "Beside the published tables" not in text
    beside = text.split("## Beside the published linf figures")[1]
    assert "| measured | ibp | linf, deterministic |  | 500 | 100.0 | 85.0 |  |" in beside
    assert "| quoted | SmoothAdv P2 m8 e255 |  | 0.12 | 500 | 80 | 62.2 |" in beside
    assert not (tmp_path / "out" / "beside_published.csv").exists()


@pytest.mark.parametrize(
    ("trainer", "by_cpu"),
    [
        ({"name": "gaussian", "budget_seconds": 360, "budget_clock": "process"}, True),
        ({"name": "gaussian", "budget_seconds": 360}, True),  # what a budget counts by default
        ({"name": "gaussian", "budget_seconds": 360, "budget_clock": "wall"}, False),
        ({"name": "gaussian", "epochs": 3}, False),
        ("gaussian", False),
    ],
)
def test_a_budget_of_cpu_time_is_compared_by_it(
    trainer: object, by_cpu: bool, tmp_path: Path
) -> None:
    seconds = {"train": {"wall": 1131.7, "cpu": 368.35}}
    (tmp_path / SUMMARY).write_text(json.dumps({"train": {"trainer": trainer}, "seconds": seconds}))
    assert _training_time(tmp_path) == TrainingTime(1131.7, 368.35, by_cpu)


def test_a_broken_summary_is_named(tmp_path: Path) -> None:
    assert _training_time(tmp_path) is None
    (tmp_path / SUMMARY).write_text("{}")
    with pytest.raises(ValueError, match=r"expected seconds\.train\.wall in .*summary\.json"):
        _training_time(tmp_path)


def test_ours_stand_beside_the_published_linf_figures_of_the_same_radius(tmp_path: Path) -> None:
    log = tmp_path / "sigma_0.25"  # 2/255 * sqrt(3072) = 0.434711
    rows = [f"{20 * i}\t1\t1\t{0.4348 if i < 100 else 0.43471}\t1\t1" for i in range(500)]
    log.write_text("\n".join(["idx\tlabel\tpredict\tradius\tcorrect\ttime", *rows]) + "\n")
    text = report_runs(
        [log], title="x", radii=[0.25], reference="cifar10", linf=[2 / 255, 0.001], dimension=3072
    )
    beside = text.split("## Beside the published linf figures")[1]
    header = "| method | certificate | σ | images | clean | linf 0.001 | linf 2/255 | table |"
    assert header in beside
    assert (
        "| measured | sigma_0.25 | l2, probabilistic |  | 500 | 100.0 | 100.0 | 20.0 |  |" in beside
    )
    assert (
        "| quoted | SmoothAdv P2 m8 e255 |  | 0.12 | 500 | 80 |  | 62.2 | cifar10_linf_2_255 |"
        in beside
    )
    assert "| 10000 |" not in beside
    assert "published linf" not in report_runs(
        [log], title="x", reference="cifar10", linf=[0.001], dimension=3072
    )
    assert main(["report", str(log), "--linf", "2/255", "4/255", "--dimension", "3072"]) == 0
    assert main(["report", str(log), "--linf", "2/255"]) == 2
