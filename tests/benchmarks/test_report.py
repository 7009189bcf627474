"""The report of the harness, on logs written by hand and on a finished arm."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.arm import SUMMARY
from benchmarks.report import _training_time, find_runs, report_runs
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


def test_ours_stand_beside_the_published_rows_of_the_same_images(out: Path, tmp_path: Path) -> None:
    log = tmp_path / "sigma_0.25"
    rows = [
        f"{20 * i}\t1\t{1 if i % 2 else -1}\t{0.5 if i % 2 else 0.0}\t{i % 2}\t0:00:01"
        for i in range(500)
    ]
    log.write_text("\n".join(["idx\tlabel\tpredict\tradius\tcorrect\ttime", *rows]) + "\n")
    text = report_runs(
        [log], title="x", radii=[0.25, 0.5], reference="cifar10", out=tmp_path / "report"
    )
    assert "on 500 images of the test set, ours on the same ones" in text
    assert "| measured | sigma_0.25 |" in text
    assert (
        "| quoted | SmoothAdv P2 m8 e255 (run) | 0.25 | 500 | 73.2 | 64.8 | 55.6 | 0.537 |" in text
    )
    assert "| 10000 |" not in text.split("## Beside")[1]
    assert (
        "quoted,SmoothAdv P2 m8 e255" in (tmp_path / "report" / "beside_published.csv").read_text()
    )
    assert "on other images than any published table" in report_runs(
        [out / "first"], title="x", reference="cifar10"
    )
    with pytest.raises(ValueError, match="expected reference to be one of cifar10, imagenet"):
        report_runs([log], title="x", reference="mnist")


def test_the_document_ends_with_the_figures_and_is_what_is_printed(
    out: Path, tmp_path: Path
) -> None:
    text = report_runs([out / "first"], title="x", out=tmp_path)
    written = (tmp_path / "report.md").read_text()
    assert written.startswith(f"{text}\n![Certified accuracy against l2 radius](curves.png)\n")
    assert written.count("## Measured on") == 1
    brief = report_runs([out / "first"], title="x", out=tmp_path, brief=True)
    assert brief.startswith("| method | noise | images |")
    assert f"wrote {tmp_path / 'report.md'}\n" in brief


def test_the_harness_hands_its_own_times_to_the_report(out: Path, tmp_path: Path) -> None:
    """Start-up included, which the run's own metrics do not count."""
    spent = json.loads((out / "first" / SUMMARY).read_text())["seconds"]["train"]
    report_runs([out / "first"], title="x", out=tmp_path)
    with (tmp_path / "report.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (float(row["train_seconds"]), float(row["train_cpu_seconds"])) == (
        spent["wall"],
        spent["cpu"],
    )


def test_runs_are_found_in_folders_of_runs(out: Path, tmp_path: Path) -> None:
    assert out / "first" in find_runs([out])
    assert find_runs([out / "first"]) == [out / "first"]
    with pytest.raises(ValueError, match="expected run folders or logs"):
        find_runs([tmp_path])
