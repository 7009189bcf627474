"""The runner: what is finished is not done again, what is stopped goes on, what fails is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.presets import Preset


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_rerun_does_only_the_rest_and_needs_neither_foolbox_nor_jsonargparse(
    out: Path,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules.update(foolbox=None, jsonargparse=None)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = contents(out / "first")
    assert main(["run", str(file), "--out", str(out)]) == 0
    assert contents(out / "first") == before
    assert (out / "second" / SUMMARY).exists()
    printed = capsys.readouterr().out
    assert "| first |" in printed
    assert "| second |" in printed
    assert "## Measured on" in (out / "report.md").read_text()
    assert {"report.csv", "curves.png"} <= {path.name for path in out.iterdir()}
    monkeypatch.setattr(runner, "_start", lambda *_: pytest.fail("nothing was left to do"))
    assert main(["run", str(file), "--out", str(out)]) == 0


def test_other_options_in_the_same_folder_are_refused(out: Path, preset: Preset) -> None:
    changed = replace(preset.arms[0], certify={**preset.arms[0].certify, "n": 200})
    with pytest.raises(ValueError, match=r"certify\.n = 200 where it has 100"):
        runner.run(replace(preset, arms=(changed,)), out)


def test_options_of_an_arm_that_cannot_be_read_are_refused(preset: Preset, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "arm.yaml").write_text("")
    with pytest.raises(ValueError, match=r"in .*arm\.yaml, got an empty file; remove that arm"):
        runner.run(preset, tmp_path)


def test_a_variable_that_is_not_set_is_said_before_any_arm_starts(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    first, second = preset.arms
    further = {"unlabelled": {"name": "npz", "path": "$NOT_SET"}}
    last = replace(second, train={**(second.train or {}), **further})
    with pytest.raises(ValueError, match=r"\$NOT_SET, which option path of arm second names"):
        runner.run(replace(preset, arms=(first, last)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_time_limit_stops_an_arm_in_good_order(preset: Preset, tmp_path: Path) -> None:
    outcome = runner.run(replace(preset, arms=preset.arms[:1]), tmp_path, max_seconds=0.05)
    assert (outcome.finished, outcome.stopped, outcome.failed) == ([], ["first"], {})
    assert runner.run(preset, tmp_path, max_seconds=0.0).stopped == [
        "first",
        "second",
    ]  # none is started
