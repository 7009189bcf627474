"""A short slice of ``tests.system.kills``: what was killed ends as if nobody had disturbed it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.system import kills
from tests.system.kills import COMMANDS, Command, main, make_models, try_command


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_models(folder)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_ends_as_if_nobody_had_disturbed_it(name: str, models: Path) -> None:
    found = try_command(COMMANDS[name], models, 1, seed=1)
    assert found.kills == 1
    assert found.compared > 0
    assert found.different == 0


def test_what_differs_is_counted_and_fails(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that leaves something else each time, which the count must notice."""
    calls: Iterator[int] = count()
    command = Command(
        COMMANDS["linf"].argv, lambda folder: {"call": b"%d" % next(calls)}, "certificates.jsonl"
    )
    monkeypatch.setitem(COMMANDS, "changing", command)
    monkeypatch.setattr(
        kills, "make_models", lambda folder: shutil.copytree(models, folder, dirs_exist_ok=True)
    )
    assert main(["1", "changing"]) == 1
    assert "1 kills" in capsys.readouterr().out


def test_a_command_that_fails_is_no_kill(models: Path, tmp_path: Path) -> None:
    command = Command(lambda folder, _: ["certify", str(tmp_path / "none.pt")], lambda _: {}, "a")
    with pytest.raises(RuntimeError, match="to end, got exit code 2"):
        try_command(command, models, 1)
