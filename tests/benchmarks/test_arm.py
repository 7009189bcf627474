"""An arm in its own process: its summary, its cost, and its errors."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rsmooth.benchmarks import arm as arm_module
from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import STOPPED, SUMMARY, TIMES, _training_length, stage_seconds
from rsmooth.benchmarks.presets import Preset


@pytest.fixture
def signals() -> Iterator[None]:
    """The signal handlers that an arm's process sets up, taken back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_arm_leaves_a_summary_with_costs_and_provenance(out: Path) -> None:
    summary = json.loads((out / "first" / SUMMARY).read_text())
    assert summary["train"]["seed"] == 1
    assert set(summary["seconds"]) == {"train", "certify"}
    assert summary["seconds"]["train"]["wall"] > 0
    assert {"cpu", "versions", "commit", "date", "command", "seeds"} <= set(summary["provenance"])
    assert os.sep not in summary["provenance"]["command"]


@pytest.mark.usefixtures("signals")
def test_a_failing_arm_says_why(
    preset: Preset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = replace(preset.arms[0], train={**preset.arms[0].train, "trainer": "gausian"})
    runner._claim(tmp_path / arm.name, arm)
    assert arm_module.main([str(tmp_path / arm.name)]) == 2
    assert "did you mean 'gaussian'" in capsys.readouterr().err
    assert not runner.is_finished(tmp_path / arm.name)


@pytest.mark.usefixtures("signals")
def test_an_arm_without_time_is_stopped(preset: Preset, tmp_path: Path) -> None:
    runner._claim(tmp_path / "first", preset.arms[0])
    assert arm_module.main([str(tmp_path / "first"), "--seconds", "0.01"]) == STOPPED
    assert not (tmp_path / "first" / SUMMARY).exists()


def test_the_cost_of_a_stage_is_summed_over_its_calls(tmp_path: Path) -> None:
    calls = [("train", 1.0, 2.0), ("train", 0.5, 0.25), ("certify", 3.0, 4.0)]
    lines = [json.dumps({"stage": name, "wall": wall, "cpu": cpu}) for name, wall, cpu in calls]
    (tmp_path / TIMES).write_text("\n".join(lines) + "\n")
    assert stage_seconds(tmp_path) == {
        "train": {"wall": 1.5, "cpu": 2.25},
        "certify": {"wall": 3.0, "cpu": 4.0},
    }


def test_the_length_of_training_may_come_from_a_preset() -> None:
    asked = {"trainer": {"name": "gaussian"}, "preset": "overnight"}
    assert _training_length(asked) == {"unit": "epoch", "total": 90}
