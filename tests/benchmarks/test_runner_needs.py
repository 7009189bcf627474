"""Arms that need others: they start when those are finished, and are refused without them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml

from rsmooth import SmoothedClassifier
from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import STOPPED, SUMMARY, run_arm
from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.presets import Arm, Preset, load_preset, select_arms
from rsmooth.benchmarks.runner import Running
from tests.benchmarks.small import DEFAULTS

PRESET = (
    DEFAULTS
    + """
title: Arms on arms
report: {radii: [0.25]}
arms:
  before: {train: {seed: 1}, certify: null}
  tuned: {train: {init_from: {arm: before}, model: null, trainer: {lr: 1.0e-9}}}
  both: {train: {init_from: {arm: before}, model: null, unlabelled: digits, teacher: {arm: tuned}}}
  alone:
tiny:
  train: {trainer: {batch_size: 32}}
  certify: {n: 50}
  arms: {both: {train: {unlabelled: {validation: 0.5}}}}
"""
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "chain.yaml"
    path.write_text(PRESET)
    return path


@pytest.fixture(scope="module")
def preset(file: Path) -> Preset:
    return load_preset(str(file))


@dataclass
class Process:
    """In place of the job of an arm: it ends at the second look, with this exit status."""

    folder: Path
    events: list[str]
    returncode: int = 0
    looks: int = 0

    def poll(self) -> int | None:
        self.looks += 1
        if self.looks < 2:
            return None
        if self.looks == 2:
            (self.folder / "output.txt").write_text("what went wrong")
            if self.returncode == 0:
                (self.folder / SUMMARY).write_text("{}")
            self.events.append(f"end {self.folder.name}")
        return self.returncode

    def interrupt(self) -> None:
        raise AssertionError("nothing was at work at the end")

    kill = interrupt


@dataclass
class Office:
    """In place of ``runner._start``: it records what starts and ends.

    codes: exit statuses other than 0.
    """

    codes: dict[str, int] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    def start(
        self, arm: Arm, out: Path, threads: int | None, deadline: float | None, launcher: object
    ) -> Running:
        self.events.append(f"start {arm.name}")
        process = Process(out / arm.name, self.events, self.codes.get(arm.name, 0))
        return Running(arm, out / arm.name, process)


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    made = Office()
    monkeypatch.setattr(runner, "_start", made.start)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    return made


@pytest.mark.parametrize(
    ("jobs", "order"),
    [
        (1, ["before", "tuned", "both", "alone"]),
        (
            2,
            ["before", "alone", "tuned", "both"],
        ),  # the second place is not kept for those that have to wait
    ],
)
def test_an_arm_starts_when_those_that_it_needs_are_finished(
    jobs: int, order: list[str], preset: Preset, tmp_path: Path, office: Office
) -> None:
    assert sorted(runner.run(preset, tmp_path, jobs=jobs).finished) == sorted(order)
    assert [event.split()[1] for event in office.events if event.startswith("start")] == order
    for arm in preset.arms:
        for name in arm.needs:
            assert office.events.index(f"end {name}") < office.events.index(f"start {arm.name}")


def test_what_needs_a_failed_arm_fails_and_the_others_go_on(
    preset: Preset, tmp_path: Path, office: Office
) -> None:
    office.codes["before"] = 1
    outcome = runner.run(preset, tmp_path, jobs=2)
    assert outcome.finished == ["alone"]
    assert "what went wrong" in outcome.failed["before"]
    assert outcome.failed["tuned"] == "not started, since it needs before"
    assert outcome.failed["both"] == "not started, since it needs before, tuned"
    assert outcome.stopped == []
    office.codes.clear()
    office.events.clear()
    assert runner.run(preset, tmp_path).failed == {}  # the same call goes on
    assert office.events[0] == "start before"
    assert "start alone" not in office.events


def test_what_needs_a_stopped_arm_is_stopped(
    preset: Preset, tmp_path: Path, office: Office
) -> None:
    office.codes["tuned"] = STOPPED
    outcome = runner.run(preset, tmp_path)
    assert (outcome.finished, outcome.stopped, outcome.failed) == (
        ["before", "alone"],
        ["tuned", "both"],
        {},
    )


def test_an_arm_whose_needs_are_neither_finished_nor_chosen_is_refused(
    preset: Preset, file: Path, tmp_path: Path, office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(file), "--only", "both", "alone", "--out", str(tmp_path)]) == 2
    assert (
        "that both needs to be finished or chosen, got before, tuned, neither"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "alone").exists()
    runner.run(select_arms(preset, ["before", "tuned"]), tmp_path)
    assert runner.run(select_arms(preset, ["both"]), tmp_path).finished == ["both"]


def test_a_preset_whose_arms_stand_in_no_order_is_refused(tmp_path: Path) -> None:
    content = yaml.safe_load(PRESET)
    content["arms"] = {"tuned": content["arms"]["tuned"], "before": content["arms"]["before"]}
    del content["tiny"]["arms"]  # it names others
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(
        ValueError, match="expected the arms that tuned needs above it, got before elsewhere"
    ):
        load_preset(str(path))


def test_tiny_sizes_leave_an_arm_without_certification_so(file: Path) -> None:
    arms = {
        arm.name: arm
        for arm in load_preset(str(file), tiny=True, changes={"certify": {"device": "cpu"}}).arms
    }
    assert arms["before"].certify is None
    assert arms["before"].train["trainer"]["batch_size"] == 32
    assert arms["alone"].certify == {
        **yaml.safe_load(PRESET)["defaults"]["certify"],
        "n": 50,
        "device": "cpu",
    }
    assert arms["both"].train["unlabelled"] == {"validation": 0.5}
    assert "unlabelled" not in arms["alone"].train


def test_a_chain_of_real_arms_ends_in_a_report_of_those_with_certificates(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def here(
        arm: Arm, out: Path, threads: int | None, deadline: float | None, launcher: object
    ) -> Running:
        run_arm(out / arm.name)
        process = Process(out / arm.name, [], looks=2)
        return Running(arm, out / arm.name, process)

    monkeypatch.setattr(runner, "_start", here)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    assert main(["run", str(file), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| before |" not in printed
    assert all(f"| {name} |" in printed for name in ("tuned", "both", "alone"))
    assert not list((tmp_path / "before").glob("certificates*"))
    summary = json.loads((tmp_path / "tuned" / SUMMARY).read_text())
    assert summary["train"]["init_from"] == {"arm": "before"}  # no path
    assert set(json.loads((tmp_path / "before" / SUMMARY).read_text())["seconds"]) == {"train"}
    before, tuned, both = (
        SmoothedClassifier.load(tmp_path / name / "model.pt")
        for name in ("before", "tuned", "both")
    )
    weights = [next(g.base.parameters()) for g in (before, tuned, both)]
    torch.testing.assert_close(
        weights[0], weights[1], rtol=0, atol=1e-5
    )  # hardly moved at this learning rate
    assert not torch.allclose(weights[0], weights[2])
