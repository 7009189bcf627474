"""Arms on Ray, by submitit and here: the same records, whatever dies on the way."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsmooth.benchmarks import launchers, runner
from rsmooth.benchmarks.arm import STOPPED, SUMMARY, run_arm
from rsmooth.benchmarks.launchers import OUTPUT, STOP, Job, Local, make_launcher
from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.presets import Preset, load_preset
from rsmooth.records.files import read_log
from tests.benchmarks.small import DEFAULTS

PRESET = (
    DEFAULTS
    + """
title: Three arms
jobs: 1
threads: 1
report: {radii: [0.25]}
arms:
  long: {train: {trainer: {epochs: 20}}}
  first: {train: {seed: 1}}
  further: {train: {model: null, init_from: {arm: first}, keep_head: true}}
"""
)


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    file = tmp_path_factory.mktemp("preset") / "three.yaml"
    file.write_text(PRESET)
    return load_preset(str(file))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, preset: Preset) -> Path:
    """What the arms leave when nothing disturbs them; what the local launcher calls, in-process."""
    folder = tmp_path_factory.mktemp("here")
    for arm in preset.arms:
        runner._claim(folder / arm.name, arm)
        run_arm(folder / arm.name)
    return folder


def check_equal(found: Path, expected: Path) -> None:
    """Weights, votes and certificates are the same, bit for bit."""
    one, other = read_log(found), read_log(expected)
    assert one.provenance["model"] == other.provenance["model"], "expected the same weights"
    for name in ("idx", "label", "predict", "radius", "counts"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    library = import_module("ray")
    yield library
    library.shutdown()


def kill_worker_of(arm: Path, killed: list[int]) -> None:
    """Kill the process that runs an arm for the launcher, once the arm has a checkpoint."""
    psutil = pytest.importorskip("psutil")
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not (arm / SUMMARY).exists():
        writer = arm / "checkpoint.pt.writer"
        if (arm / "checkpoint.pt").exists() and writer.exists():
            worker = psutil.Process(int(writer.read_text().split()[0])).ppid()
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)
            return
        time.sleep(0.02)


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
@pytest.mark.filterwarnings("ignore")  # Ray's are its own
def test_an_arm_whose_worker_is_killed_goes_on_at_another(
    ray: Any, preset: Preset, here: Path, tmp_path: Path
) -> None:
    launcher = make_launcher("ray", {"num_cpus": 1})
    killed: list[int] = []
    killer = threading.Thread(target=kill_worker_of, args=(tmp_path / "long", killed))
    killer.start()
    outcome = runner.run(preset, tmp_path, launcher=launcher)
    killer.join()
    launcher.close()
    assert outcome.failed == {}
    assert sorted(outcome.finished) == ["first", "further", "long"]
    assert len(killed) == 1, "expected the arm to be met while it trained"
    for arm in preset.arms:
        check_equal(tmp_path / arm.name, here / arm.name)
    assert len((tmp_path / "long" / "times.jsonl").read_text().splitlines()) > 2, "was called twice"
    ray.shutdown()
    gc.collect()  # what Ray leaves open is its own, and no later test's


@pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra submitit")
@pytest.mark.filterwarnings("ignore")
def test_submitit_runs_the_arms_and_an_arm_after_what_it_needs(
    preset: Preset, here: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "three.yaml"
    file.write_text(PRESET)
    out = tmp_path / "runs"
    line = ["run", str(file), "--out", str(out), "--launcher", "submitit"]
    line += ["--launch", "cluster=local", "timeout_min=5", "--only", "first", "further"]
    assert main([*line, "--max-seconds", "0.01"]) == 130
    assert not (out / "first" / SUMMARY).exists()
    assert main(line) == 0
    for name in ("first", "further"):
        check_equal(out / name, here / name)
    assert "| further |" in capfd.readouterr().out
    assert (out / "submitit").is_dir()
    gc.collect()  # likewise submitit's


class Fake:
    """A launcher whose jobs end as the test says."""

    def __init__(self, codes: dict[str, list[int | None]]) -> None:
        self.codes, self.log = codes, []

    def jobs(self, arms: int, usual: int) -> int:
        return arms

    def start(self, job: Job) -> Any:
        name, log = job.folder.name, self.log
        log.append(("start", name))
        codes = self.codes[name]

        class Handle:
            def poll(self) -> int | None:
                code = codes.pop(0) if len(codes) > 1 else codes[0]
                if code == 0:
                    (job.folder / SUMMARY).touch()
                return code

            def interrupt(self) -> None:
                log.append(("interrupt", name))
                codes[:] = [STOPPED]

            def kill(self) -> None:
                log.append(("kill", name))

        return Handle()

    def close(self) -> None:
        pass


@pytest.mark.filterwarnings("ignore")
def test_all_arms_are_queued_at_once_but_those_that_need_others(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    fake = Fake({"long": [None, None, None, 0], "first": [None, 0], "further": [1]})
    outcome = runner.run(preset, tmp_path, launcher=fake)
    assert fake.log == [("start", "long"), ("start", "first"), ("start", "further")]
    assert sorted(outcome.finished) == ["first", "long"]
    assert list(outcome.failed) == ["further"]


def test_an_interruption_reaches_all_jobs(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    fake = Fake({"long": [None], "first": [None], "further": [None]})
    shown: list[object] = []

    def show(self: object, folders: object) -> None:
        shown.append(folders)
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(runner.Progress, "show", show)
    with pytest.raises(KeyboardInterrupt):
        runner.run(preset, tmp_path, launcher=fake)
    assert fake.log[2:] == [("interrupt", "long"), ("interrupt", "first")]


def test_a_job_that_is_asked_to_stop_or_out_of_time_does_not_start(tmp_path: Path) -> None:
    asked = Job(tmp_path)
    asked.ask_to_stop()
    assert asked.run() == STOPPED
    asked.prepare()
    assert not (tmp_path / STOP).exists()
    assert Job(tmp_path, until=time.time() - 1).run() == STOPPED
    assert not (tmp_path / OUTPUT).exists()


def test_a_running_job_can_be_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rsmooth").mkdir()
    program = tmp_path / "sleeper.py"
    program.write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")

    def start(self: Job) -> Any:
        with (self.folder / OUTPUT).open("ab") as output:
            return launchers.subprocess.Popen(
                [sys.executable, str(program)], stdout=output, **launchers.apart()
            )

    monkeypatch.setattr(Job, "start", start)
    threading.Timer(1.0, Job(tmp_path).ask_to_stop).start()
    began = time.monotonic()
    assert Job(tmp_path).run() != 0
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("name", ["ray", "submitit"])
def test_a_launcher_that_is_not_installed_names_its_extra(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
    assert main(["run", "digits", "--launcher", name]) == 2
    said = capsys.readouterr().err
    assert f"expected {name} for --launcher {name}, found none" in said
    assert f"pip install 'rsmooth[{name}]'" in said


def test_options_of_a_launcher_are_read_as_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "digits", "--launch", "jobs"]) == 2
    assert "expected --launch KEY=VALUE, got 'jobs'" in capsys.readouterr().err
    assert main(["run", "digits", "--launch", "num_gpus=1"]) == 2
    assert "expected no options of the launcher local, got num_gpus" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected a launcher among local, ray, submitit"):
        make_launcher("slurm", {})
    assert make_launcher("local", {}) == Local()
