"""Death at every point of a checkpoint's writing, kills at any time, a full disk: training goes on bit for bit."""

from __future__ import annotations

import errno
import io
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth.defenses import engine
from rsmooth.models import checkpoints
from tests.defenses.test_resume import run
from tests.processes import PROCESSES

TURN = 6  # the checkpoint at whose writing the process dies: in the midst of an epoch
POINTS = ("before-write", "mid-write", "before-rename", "after-rename", "before-folder-fsync")


@pytest.fixture(scope="module")
def unbroken() -> Tensor:
    return run(None)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def on_turn(function: Callable[..., Any], turn: int, *, before: Callable[[], None] | None = None,
            after: Callable[[], None] | None = None) -> Callable[..., Any]:
    """The function, and at its ``turn``-th call something before or after it."""
    calls = 0

    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if arguments and "metrics" in str(arguments[-1]):  # which have no say in what a run goes on from
            return function(*arguments, **options)
        calls += 1
        if calls == turn and before is not None:
            before()
        result = function(*arguments, **options)
        if calls == turn and after is not None:
            after()
        return result

    return counting


class HalfWritten(io.FileIO):
    """A file that takes half of what it is given, before its process is killed."""

    def write(self, content: Any) -> int:
        super().write(bytes(content)[: len(content) // 2])
        killed()
        return 0


def half_written(path: Path, mode: str) -> HalfWritten:
    return HalfWritten(path, mode.replace("b", ""))


def die(folder: Path, point: str, threads: int) -> None:
    torch.set_num_threads(threads)
    if point == "before-write":
        torch.save = on_turn(torch.save, TURN, before=killed)
    elif point == "mid-write":
        checkpoints.io.BytesIO = on_turn(io.BytesIO, TURN, before=lambda: setattr(checkpoints, "open", half_written))
    elif point == "before-folder-fsync":
        checkpoints._sync_folder = on_turn(checkpoints._sync_folder, TURN, before=killed)
    else:
        os.replace = on_turn(os.replace, TURN, **{point.split("-")[0]: killed})
    run(folder)


def live(folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    run(folder)


@pytest.mark.parametrize("point", POINTS)
def test_death_at_any_point_of_a_checkpoint_is_recovered_from(point: str, tmp_path: Path, unbroken: Tensor) -> None:
    process = PROCESSES.Process(target=die, args=(tmp_path, point, torch.get_num_threads()))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    steps = []
    assert torch.equal(run(tmp_path, lambda *at: steps.append(at)), unbroken)
    assert 5 < len(steps) < 16, "expected a run that goes on from its checkpoint"


def test_kills_at_random_times_lose_nothing(tmp_path: Path, unbroken: Tensor) -> None:
    moments = random.Random(1)
    for _ in range(6):
        process = PROCESSES.Process(target=live, args=(tmp_path, torch.get_num_threads()))
        process.start()
        process.join(moments.uniform(0.0, 0.5))
        process.kill()
        process.join()
    assert torch.equal(run(tmp_path), unbroken)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_named_and_training_goes_on_later(number: int, tmp_path: Path, unbroken: Tensor,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", on_turn(os.fsync, 2 * TURN - 1, before=refuse))  # of the file; then of its folder
        with pytest.raises(OSError, match=rf"{os.strerror(number)}: .*checkpoint\.pt"):
            run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"checkpoint.pt", "metrics.jsonl", "best.pt"}
    steps = []
    assert torch.equal(run(tmp_path, lambda *at: steps.append(at)), unbroken)
    assert len(steps) < 16


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.0)
    steps = []

    def refuse(path: Any, *options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)  # root may write anywhere
        with pytest.raises(OSError, match=r"Read-only file system: .*new"):
            run(tmp_path / "new", lambda *at: steps.append(at))
    assert not steps
    assert not (tmp_path / "new").exists()
