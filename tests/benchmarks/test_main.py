"""The commands of the harness: options, measurements, errors and exit statuses."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rsmooth.benchmarks import main as module
from rsmooth.benchmarks import runner
from rsmooth.benchmarks.main import MEASUREMENTS, main
from rsmooth.benchmarks.presets import Preset
from rsmooth.benchmarks.runner import Outcome
from rsmooth.cli.argv import spelt


def test_mistakes_on_the_command_line_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "digit"]) == 2
    assert capsys.readouterr().err.startswith("benchmarks: error: expected a preset, got 'digit'")
    assert main(["run", "digits", "--data", "x"]) == 2
    assert "expected --data with a preset that reads files" in capsys.readouterr().err
    assert main(["ablate", "order", "--base", "digits", "--only", "nobody"]) == 2
    assert "expected arms of digits-order" in capsys.readouterr().err
    for option in ("jobs", "threads"):
        assert main(["run", "digits", f"--{option}", "0"]) == 2
        assert f"expected --{option} >= 1, got 0" in capsys.readouterr().err
    assert main(["attack-speed", "--model", "nobody"]) == 2
    assert "benchmarks attack-speed: error: expected a registered" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(MEASUREMENTS))
def test_a_measurement_has_help_of_its_own(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"benchmarks {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(MEASUREMENTS))
def test_options_of_a_measurement_arrive_as_they_are_called(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hyphens in names become underscores on the way; abbreviations are refused everywhere."""
    made: list[argparse.ArgumentParser] = []

    def parse(parser: argparse.ArgumentParser, *_: Any) -> None:
        made.append(parser)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(SystemExit):
        main([command])
    [parser] = made
    assert not parser.allow_abbrev
    options = [name for action in parser._actions for name in action.option_strings]
    assert options == [spelt(name) for name in options]


def test_a_measurement_gets_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    stub = SimpleNamespace(main=given.append)
    monkeypatch.setitem(sys.modules, "rsmooth.benchmarks.noise_cost", stub)  # type: ignore[arg-type]
    assert main(["noise-cost", "--rounds", "1"]) == 0
    assert given == [["--rounds", "1"]]


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (Outcome([], ["smoothadv"], {}), 130, "stopped before the end of smoothadv"),
        (Outcome([], [], {"gaussian": "exit status 1"}), 3, "gaussian failed: exit status 1"),
    ],
)
def test_the_status_says_what_became_of_the_arms(
    outcome: Outcome,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(runner, "run", lambda *_, **__: outcome)
    assert main(["run", "digits", "--out", str(tmp_path)]) == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("given", "threads"), [(["--threads", "3"], 3), ([], 1)])
def test_threads_come_before_those_of_the_preset(
    given: list[str], threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run(preset: Preset, *_: Any, **__: Any) -> Outcome:
        asked.append(preset.threads)
        return Outcome([], [], {})

    monkeypatch.setattr(runner, "run", run)
    assert main(["run", "digits", "--out", str(tmp_path), *given]) == 0
    assert asked == [threads]


def test_an_interruption_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_run", interrupted)
    assert main(["run", "digits"]) == 130
    assert capsys.readouterr().err == "benchmarks: stopped; the same command continues from here\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGTERM")
def test_a_termination_interrupts_the_runner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its arms then save their step, and are waited for."""

    def ended(_: object) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        return 0

    monkeypatch.setattr(module, "_run", ended)
    assert main(["run", "digits"]) == 130
    assert capsys.readouterr().err == "benchmarks: stopped; the same command continues from here\n"


@pytest.mark.parametrize("seconds", ["nan", "-5", "0", "inf"])
def test_a_time_limit_in_which_nothing_can_go_on_is_refused(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "digits", "--out", str(tmp_path / "x"), f"--max_seconds={seconds}"]) == 2
    assert "expected --max_seconds > 0" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
