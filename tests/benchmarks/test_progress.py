"""Progress of arms, read from their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.benchmarks import progress as module
from rsmooth.benchmarks.arm import STATE
from rsmooth.benchmarks.progress import Progress, stage_progress


def test_progress_is_read_from_the_files(out: Path, tmp_path: Path) -> None:
    assert stage_progress(tmp_path) is None
    assert stage_progress(out / "first") == ("certify", "image", 4, 4)
    (tmp_path / STATE).write_text('{"stage": "train", "unit": "epoch", "total": 3}')
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "seconds": 7.5}\n')
    assert stage_progress(tmp_path) == ("train", "epoch", 1, 3)
    (tmp_path / STATE).write_text('{"stage": "train", "unit": "s", "total": 5}')
    assert stage_progress(tmp_path) == ("train", "s", 5, 5)  # the last epoch may end a little late


def test_without_a_terminal_there_is_a_line_per_arm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / STATE).write_text('{"stage": "train", "unit": "epoch", "total": 3}')
    bars = Progress(2, 0)
    bars.show({"first": tmp_path})
    assert capsys.readouterr().err == ""  # not before half a minute has passed
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    bars.show({"first": tmp_path, "second": tmp_path / "not-begun"})
    assert capsys.readouterr().err == "first: train, epoch 0 of 3\n"
    bars.settle("first", True)
    bars.settle("second", False)
    bars.close()
    assert capsys.readouterr().err == "first: finished\nsecond: not finished\n"


def test_on_a_terminal_each_running_arm_has_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / STATE).write_text('{"stage": "train", "unit": "epoch", "total": 3}')
    bars = Progress(2, 0)
    bars.show({"first": tmp_path / "first", "second": tmp_path / "second"})
    (tmp_path / "first" / "metrics.jsonl").write_text('{"epoch": 0}\n{"epoch": 1}\n')
    bars.show({"first": tmp_path / "first"})
    assert {name: (bar.n, bar.total) for name, (_, bar) in bars._bars.items()} == {
        "first": (2, 3),
        "second": (0, 3),
    }
    bars.settle("first", True)
    assert (set(bars._bars), bars._all.n) == ({"second"}, 1)
    bars.close()
    assert not bars._bars
