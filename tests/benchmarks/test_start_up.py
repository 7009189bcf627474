"""Start-up of whole processes, of commands that take no time."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from rsmooth.benchmarks import start_up
from rsmooth.benchmarks.start_up import BESIDE, COMMANDS, main


def test_commands_are_timed_as_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large = "held = b'x' * 200_000_000"
    monkeypatch.setattr(start_up, "COMMANDS", {BESIDE: ["-c", "pass"], "large": ["-c", large]})
    stem = tmp_path / "found"
    assert main(["--repeats", "2", "--out", str(stem)]) == 0
    assert Path(f"{stem}.md").read_text().strip() == capsys.readouterr().out.strip()
    small, big = json.loads(Path(f"{stem}.json").read_text())["rows"]
    assert small["ratios"] == [1.0, 1.0]
    assert all(0.0 < seconds < 60.0 for seconds in small["seconds"] + big["processor_seconds"])
    assert min(big["megabytes"]) > 200 > max(small["megabytes"])


def test_a_command_that_fails_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_up, "COMMANDS", {BESIDE: ["-c", "raise SystemExit(3)"]})
    with pytest.raises(subprocess.CalledProcessError):
        main(["--repeats", "1"])


def test_the_commands_measured_are_there() -> None:
    assert {"python", BESIDE, "rsmooth --help"} < set(COMMANDS)
