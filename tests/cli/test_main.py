"""The entry point: what help costs, which verbs load torch, and how a program ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from rsmooth import __version__
from rsmooth.cli import main
from rsmooth.cli.main import overview
from rsmooth.cli.verbs import VERBS
from tests.processes import PROCESSES

ROOT = Path(__file__).parents[2]


# In a small process of its own: the peak memory of a child counts that of the process it was forked
# from.
COST = """
import os, sys
found = []
for _ in range(int(sys.argv[1])):
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, *sys.argv[2:]])
    _, status, used = os.wait4(pid, 0)
    assert status == 0
    found.append((used.ru_utime + used.ru_stime, used.ru_maxrss))
print(*map(min, zip(*found)))
"""


def cost(*command: str, runs: int = 3) -> tuple[float, float]:
    """Processor seconds and peak memory of a fresh interpreter, each the least of some runs."""
    done = subprocess.run(
        [sys.executable, "-c", COST, str(runs), *command],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    seconds, memory = done.stdout.splitlines()[-1].split()
    return float(seconds), float(memory)


def test_help_and_version_cost_little_beside_torch() -> None:
    seconds, memory = cost("-c", "import torch", runs=1)
    for option in ("--help", "--version"):
        used = cost("-m", "rsmooth", option)
        assert used[0] < seconds / 5, option
        assert used[1] < memory / 10, option


Command = Sequence[str]
HEAVY = ("torch", "scipy", "matplotlib", "jsonargparse", "foolbox", "sklearn")
IN_TURNS = f"""
import json, sys
from rsmooth.cli.main import main
found = []
for command in json.loads(sys.argv[1]):
    try: code = main(command)
    except SystemExit as end: code = end.code
    assert not code, command
    found.append([name for name in {HEAVY!r} if name in sys.modules])
print()
print(json.dumps(found))
"""


def loaded(commands: Sequence[Command]) -> list[set[str]]:
    """Which of the heavy modules a fresh interpreter has loaded after each of these commands."""
    program = [sys.executable, "-c", IN_TURNS, json.dumps(commands)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return [set(names) for names in json.loads(done.stdout.splitlines()[-1])]


def strays(commands: Sequence[Command], light: set[str]) -> dict[str, set[str]]:
    """What the commands load beside ``light``, by command. Later ones have that of earlier ones."""
    found = zip(commands, loaded(commands), strict=True)
    return {" ".join(command): names - light for command, names in found if names - light}


def test_help_loads_nothing() -> None:
    assert strays([["--help"], ["--version"]], set()) == {}


def test_the_help_of_a_verb_loads_no_torch() -> None:
    commands = [[verb, "--help"] for verb in VERBS.names()]
    assert strays(commands, {"jsonargparse", "scipy"}) == {}


def test_lists_load_no_torch() -> None:
    kinds = ("attacks", "trainers", "objectives", "models", "datasets", "noises")
    assert strays([["list"], *(["list", kind] for kind in kinds)], {"jsonargparse"}) == {}


def test_verbs_that_work_on_records_load_no_torch(run: Path, tmp_path: Path) -> None:
    commands = [
        ["plan", "--sigma", "0.25", "--radius", "0.5"],
        ["plan", "--sigma", "0.25", "--log", str(run)],
        ["restate", str(run), "--alpha", "0.01"],
        ["report", str(run)],
        ["report", str(run), "--out", str(tmp_path / "report")],
    ]
    *words, drawn = loaded(commands)
    assert words == [{"jsonargparse", "scipy"}] * 4
    assert drawn == {"jsonargparse", "scipy", "matplotlib"}


def test_the_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == overview() + "\n"
    lines = overview().splitlines()
    assert max(map(len, lines)) <= 100
    for name in VERBS.names():
        [line] = [line for line in lines if line.startswith(f"  {name} ")]
        assert " ".join(line.split()[1:]) in VERBS.describe(name)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rsmooth {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "expected a verb, got none; there are attack, audit, certify, doctor, export"),
        (["tran", "x"], "expected a registered verb, got 'tran'; did you mean 'train'"),
        (["--hlep"], "expected a verb, got the option '--hlep'"),
    ],
)
def test_what_is_no_verb(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"rsmooth: error: {said}")
    assert text.endswith("; see rsmooth --help\n")
    assert text.count("\n") == 1


def test_a_plug_in_adds_a_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def count(things: str, times: int = 2) -> None:
        """Count things.

        Args:
            things: what to count
            times: how often
        """
        print(things * times)

    monkeypatch.setattr(VERBS, "_entries", dict(VERBS._entries))
    VERBS.register("count", positionals=("things",))(count)
    assert "count" in overview()
    assert main(["count", "ab", "--times", "3"]) == 0
    assert capsys.readouterr().out == "ababab\n"


@pytest.mark.parametrize(("verb", "said"), [("train", "continues from here"), ("plan", "stopped")])
def test_an_interruption_is_one_line(
    verb: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["rsmooth.cli.main"], "call", interrupted)
    assert main([verb, *(["x"] if verb == "train" else []), "--sigma", "1"]) == 130
    text = capsys.readouterr().err
    assert text.startswith(f"rsmooth {verb}: stopped")
    assert text.rstrip().endswith(said)


def train(folder: Path, said: Path) -> None:
    with open(said, "w", buffering=1) as stream, redirect_stderr(stream):
        options = ["--sigma", "1", "--model", "mlp", "--trainer.epochs", "999"]
        raise SystemExit(main(["train", str(folder), *options, "--progress", "false"]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_a_verb_at_work(number: int, tmp_path: Path) -> None:
    """The signal itself, to a process that trains; what it saved is gone on from."""
    said = tmp_path / "said"
    process = PROCESSES.Process(target=train, args=(tmp_path / "run", said))
    process.start()
    try:
        while process.is_alive() and not (tmp_path / "run" / "metrics.jsonl").exists():
            time.sleep(0.01)
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join(60)
    finally:
        process.kill()
    assert process.exitcode == 130, said.read_text()
    assert said.read_text() == "rsmooth train: stopped; the same command continues from here\n"
