"""The runner: what is finished is not done again, what is stopped goes on, what fails is said."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import arm as arm_module
from benchmarks import runner
from benchmarks.__main__ import main
from benchmarks.arm import STATE, SUMMARY, run_arm
from benchmarks.presets import Preset, load_preset
from benchmarks.progress import stage_progress
from benchmarks.report import find_runs, report_runs

PRESET = """
title: Two arms
jobs: 2
threads: 1
report: {radii: [0.25]}
defaults:
  train:
    dataset: digits
    model: {name: small-cnn, width: 4}
    sigma: 0.25
    trainer: {name: gaussian, epochs: 1, precision: float32}
  certify: {max: 4, n: 100, n0: 10, workers: 1, precision: float32, compile: never}
arms:
  first: {train: {seed: 1}}
  second: {train: {seed: 2}}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "two.yaml"
    path.write_text(PRESET)
    return path


@pytest.fixture(scope="module")
def preset(file: Path) -> Preset:
    return load_preset(str(file))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, preset: Preset) -> Path:
    """A folder whose first arm is finished, as after a kill between the arms."""
    folder = tmp_path_factory.mktemp("runs")
    for arm in preset.arms:
        runner._claim(folder / arm.name, arm)
    run_arm(folder / "first")
    return folder


@pytest.fixture
def signals() -> Iterator[None]:
    """The signal handlers that an arm's process sets up, taken back."""
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_an_arm_leaves_a_summary_with_costs_and_provenance(out: Path) -> None:
    summary = json.loads((out / "first" / SUMMARY).read_text())
    assert summary["train"]["seed"] == 1
    assert set(summary["seconds"]) == {"train", "certify"}
    assert summary["seconds"]["train"]["wall"] > 0
    assert {"cpu", "versions", "commit", "date", "command", "seeds"} <= set(summary["provenance"])
    assert os.sep not in summary["provenance"]["command"]


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


def test_the_time_limit_stops_an_arm_in_good_order(preset: Preset, tmp_path: Path) -> None:
    outcome = runner.run(replace(preset, arms=preset.arms[:1]), tmp_path, max_seconds=0.05)
    assert (outcome.finished, outcome.stopped, outcome.failed) == ([], ["first"], {})
    assert runner.run(preset, tmp_path, max_seconds=0.0).stopped == [
        "first",
        "second",
    ]  # none is started


@pytest.mark.usefixtures("signals")
def test_a_failing_arm_says_why(
    preset: Preset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = replace(preset.arms[0], train={**preset.arms[0].train, "trainer": "gausian"})
    runner._claim(tmp_path / arm.name, arm)
    assert arm_module.main([str(tmp_path / arm.name)]) == 2
    assert "did you mean 'gaussian'" in capsys.readouterr().err
    assert not runner.is_finished(tmp_path / arm.name)


def test_progress_is_read_from_the_files(out: Path, tmp_path: Path) -> None:
    assert stage_progress(tmp_path) is None
    assert stage_progress(out / "first") == ("certify", "image", 4, 4)
    (tmp_path / STATE).write_text('{"stage": "train", "unit": "epoch", "total": 3}')
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "seconds": 7.5}\n')
    assert stage_progress(tmp_path) == ("train", "epoch", 1, 3)
    (tmp_path / STATE).write_text('{"stage": "train", "unit": "s", "total": 5}')
    assert stage_progress(tmp_path) == ("train", "s", 5, 5)  # the last epoch may end a little late


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


def test_mistakes_on_the_command_line_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "digit"]) == 2
    assert capsys.readouterr().err.startswith("benchmarks: error: expected a preset, got 'digit'")
    assert main(["run", "digits", "--data", "x"]) == 2
    assert "expected --data with a preset that reads files" in capsys.readouterr().err
    assert main(["ablate", "order", "--base", "digits", "--only", "nobody"]) == 2
    assert "expected arms of digits-order" in capsys.readouterr().err
