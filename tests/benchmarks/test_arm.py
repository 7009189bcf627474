"""An arm in its own process: its summary, its cost, and its errors."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rsmooth import MODELS, SmoothedClassifier
from rsmooth.benchmarks import arm as arm_module
from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import (
    STOPPED,
    SUMMARY,
    TIMES,
    _training_length,
    run_arm,
    stage_seconds,
)
from rsmooth.benchmarks.presets import Arm, Preset
from rsmooth.plumbing import processes
from rsmooth.report.kinds import kinds_table
from rsmooth.report.reading import load_runs
from tests.full_disk import small_files_only


@pytest.fixture
def signals() -> Iterator[None]:
    """The signal handlers that an arm's process sets up, taken back."""
    caught = [signal.SIGINT, *processes.terminations()]
    before = {number: signal.getsignal(number) for number in caught}
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


@pytest.mark.parametrize("rule", ["voting", "mean", "cascade", "published-cascade-not-sound"])
def test_an_arm_of_several_networks_is_attacked_by_its_rule(rule: str, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[8])
        (tmp_path / name).mkdir()
        SmoothedClassifier(base, sigma=0, num_classes=10).save(tmp_path / name / "model.pt")
    certify = {
        **{"dataset": "digits", "max": 4, "norm": "linf", "epsilons": [1 / 255, 8 / 255]},
        **{"source": {"arm": "one"}, "ensemble": [{"arm": "two"}], "rule": rule, "workers": 1},
    }
    arm = Arm("both", None, certify, {"steps": 2})
    runner._claim(tmp_path / arm.name, arm)
    run_arm(tmp_path / arm.name)
    (row,) = kinds_table(load_runs([tmp_path / arm.name]), certify["epsilons"]).rows
    assert row.attacked is not None
    bounds = zip(row.certified, row.attacked, strict=True)
    assert "not-sound" in rule or all(low is not None and low <= high for low, high in bounds)


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
# The interruption may come while scikit-learn has the file of its digits open.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
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


def test_a_full_disk_leaves_no_half_line_among_the_costs(tmp_path: Path) -> None:
    before = '{"stage": "train", "wall": 1.0, "cpu": 2.0}\n'
    (tmp_path / "times.jsonl").write_text(before)
    with small_files_only(len(before) + 10), pytest.raises(OSError, match=r"times\.jsonl"):
        arm_module._append_line(tmp_path / "times.jsonl", '{"stage": "certify"}')
    assert (tmp_path / "times.jsonl").read_text() == before
    assert stage_seconds(tmp_path) == {"train": {"wall": 1.0, "cpu": 2.0}}


def test_the_length_of_training_may_come_from_a_preset() -> None:
    asked = {"trainer": {"name": "gaussian"}, "preset": "overnight"}
    assert _training_length(asked) == {"unit": "epoch", "total": 90}
