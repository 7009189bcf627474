"""The report of the harness, on a finished arm: times, figures, machines."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.report import report_runs
from rsmooth.config.folder import certified_runs
from tests.report.by_hand import write_run


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
    assert out / "first" in certified_runs([out])
    assert certified_runs([out / "first"]) == [out / "first"]
    with pytest.raises(
        ValueError, match="expected a run folder with certificates, or a folder of such ones"
    ):
        certified_runs([tmp_path])


def test_the_report_of_the_harness_is_a_page_too(tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    report_runs([write_run(tmp_path / "a", [900, 800])], title="T", html=page)
    assert "<h1>T</h1>" in page.read_text(encoding="utf-8")
