"""The page of all results, with and without published logs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rsmooth.benchmarks import reference
from rsmooth.benchmarks.leaderboard import entry, main, measured, quoted
from rsmooth.benchmarks.place import FILES
from rsmooth.records.files import write_log
from rsmooth.report.board import build_board
from rsmooth.report.collecting import FoundLog
from rsmooth.report.entries import MEASURED, PUBLISHED
from rsmooth.report.page.leaderboard import _row
from tests.report.by_hand import HEADER, run_of
from tests.report.test_entries import log_of


def test_our_results_and_the_tables_make_a_page_without_any_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    (results / "digits" / "a").mkdir(parents=True)
    write_log(log_of(0, dataset={"name": "digits"}), results / "digits" / "a" / "certificates.tsv")
    (results / "digits" / "b").mkdir()
    (results / "digits" / "b" / "certificates.tsv").write_text("broken")
    out = tmp_path / "b.html"
    assert main(["--html", str(out), "--results", str(results)]) == 0
    assert "1 files left out" in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    assert "benchmarks/results/digits/a" in text
    assert re.search(r"benchmarks/results/digits/b.*expected the columns", text)
    assert text.count(">quoted<") > 500


def test_published_logs_stand_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs" / "cifar10"
    logs.mkdir(parents=True)
    write_log(log_of(0, idx=np.arange(0, 10_000, 20)), logs / "macer_sigma_0.25.tsv")
    (logs / "macer_sigma_0.25.tsv.json").unlink()
    (tmp_path / "results").mkdir()
    out = tmp_path / "b.html"
    options = ["--results", str(tmp_path / "results"), "--logs", str(tmp_path / "logs")]
    assert main(["--html", str(out), *options]) == 0
    assert "0 files left out" in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    section = text.split("<h2>CIFAR-10, σ = 0.25: every 20th image, 500</h2>")[1].split("<h2>")[0]
    assert "logs: cifar10/macer_sigma_0.25.tsv" in section
    assert "published log" in section
    assert "constant classifier" in section
    assert main(["--html", str(out), "--logs", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_what_is_committed_is_read() -> None:
    found = measured(FILES / "results")
    assert found.left_out == []
    homes = {log.path.split("/")[2] for log in found.logs}
    assert {"cifar10-cpu", "linf-digits", "shipped"} <= homes
    rows = [entry(log, MEASURED) for log in found.logs]
    assert {row.data for row in rows} == {"cifar10", "cifar10 (validation)", "digits", "imagenet"}
    assert {row.noise for row in rows} == {0.12, 0.25, 0.5, None}
    shipped = [row for row in rows if row.method.startswith("shipped/")]
    assert {row.note for row in shipped} == {
        "n = 10,000",
        "n = 100,000",
        "n = 100,000; only these radii were decided",
    }


def test_noise_and_data_are_read_from_the_record_before_the_path() -> None:
    ours = FoundLog(run_of(provenance=HEADER).log, "home", "cifar10/sigma_0.5")
    assert (entry(ours, PUBLISHED).noise, entry(ours, PUBLISHED).data) == (0.25, "digits")
    theirs = FoundLog(run_of().log, "home", "cifar10/cohen/sigma_0.5")
    row = entry(theirs, PUBLISHED)
    assert (row.noise, row.data, row.method) == (0.5, "cifar10", "cohen")
    silent = entry(FoundLog(run_of().log, "home", "cifar10/cohen"), PUBLISHED)
    assert silent.noise == "σ not stated"  # and so apart from figures over several


def test_every_quoted_row_is_there_but_those_without_certificates() -> None:
    rows = list(quoted())
    listed = [row for name in reference.table_names() for row in reference.read_table(name)]
    assert len(rows) == sum("not certified" not in row.note for row in listed)
    first = next(row for row in rows if row.quoted is not None and row.quoted.images == 500)
    assert first.images is not None
    assert first.images[1] == 20
    assert all(
        0 <= value <= 1 for row in rows if row.quoted for value in row.quoted.accuracy.values()
    )


def test_quoted_rows_of_bounds_are_linf_and_the_cascade_is_marked() -> None:
    rows = [row for row in quoted() if row.kind == "deterministic"]
    assert {(row.measure, row.quoted is not None) for row in rows} == {("linf", True)}
    (unsound,) = (row for row in rows if row.quoted is not None and not row.quoted.sound)
    assert "(not sound)" in unsound.method
    page = build_board(rows, [])
    (group,) = page.groups
    shown = _row(group, unsound)
    assert [cell.value for cell in shown["cells"]] == ["64.1", "(63.6)"]
