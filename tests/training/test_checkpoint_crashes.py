"""A run that ends at any write, killed or refused by the disk, goes on to the same bits."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.smoothed import SmoothedClassifier
from tests.processes import PROCESSES
from tests.training.helpers import classifier, images, weights

POINTS = ("before-write", "mid-write", "before-rename", "after-rename")
# Two epochs of two steps, saved after each step and each epoch: the fourth checkpoint is within
# the second epoch.
WRITES = [
    ("checkpoint.pt", 1),
    ("checkpoint.pt", 4),
    ("metrics.jsonl", 4),
    ("best.pt", 1),
    ("model.pt", 1),
]
DEATHS = [(f"{name}/{point}", turn) for name, turn in WRITES for point in POINTS]


def run(folder: Path | None, callback: Callable[[int, int], None] | None = None) -> Tensor:
    g = classifier()
    trainer = Trainer(
        attack=SmoothAdvPGD(epsilon=0.5, steps=1),
        epochs=2,
        batch_size=12,
        lr=0.05,
        warmup_epochs=1,
        checkpoint_seconds=1e-9,
    )
    trainer.fit(
        g, images(), validation=images(9, seed=1), run_dir=folder, progress=False, callback=callback
    )
    return weights(g)


def die(folder: Path, point: str, turn: int, threads: int) -> None:
    os.environ["RSMOOTH_CRASH_AT"] = f"{point}:{turn}"
    live(folder, threads)


def live(folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    run(folder)


@pytest.fixture(scope="module")
def unbroken() -> Tensor:
    return run(None)


def test_every_crash_point_resumes_to_the_same_weights(tmp_path: Path, unbroken: Tensor) -> None:
    for number, death in enumerate(DEATHS):
        folder = tmp_path / str(number)
        process = PROCESSES.Process(target=die, args=(folder, *death, torch.get_num_threads()))
        process.start()
        process.join()
        assert process.exitcode == 137, death
        assert torch.equal(run(folder), unbroken), death
        assert torch.equal(weights(SmoothedClassifier.load(folder / "model.pt")), unbroken), death
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2, death
        assert sorted(os.listdir(folder)) == [
            "best.pt",
            "checkpoint.pt",
            "metrics.jsonl",
            "model.pt",
        ], death


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize(("name", "turn"), WRITES)
def test_a_disk_that_takes_nothing_is_named_and_the_run_goes_on_later(
    name: str,
    turn: int,
    number: int,
    tmp_path: Path,
    unbroken: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left, rename = [turn], os.replace

    def refuse(source: str, target: Path) -> None:
        left[0] -= target.name == name
        if not left[0]:
            raise OSError(number, os.strerror(number), str(source))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    kept = "the file is as it was before" if turn > 1 else "nothing was written"
    with pytest.raises(OSError, match=f"{os.strerror(number)}; {kept}: .*{name}"):
        run(tmp_path)
    monkeypatch.undo()
    assert {path.name for path in tmp_path.iterdir()} <= {
        "checkpoint.pt",
        "metrics.jsonl",
        "best.pt",
        "model.pt",
    }
    assert torch.equal(run(tmp_path), unbroken)


def test_kills_at_random_times_lose_nothing(tmp_path: Path, unbroken: Tensor) -> None:
    moments = random.Random(1)
    for _ in range(6):
        process = PROCESSES.Process(target=live, args=(tmp_path, torch.get_num_threads()))
        process.start()
        process.join(moments.uniform(0.0, 0.5))
        process.kill()
        process.join()
    assert torch.equal(run(tmp_path), unbroken)


def test_a_folder_that_cannot_be_made_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any, *options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    steps: list[tuple[int, int]] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)  # root may write anywhere
        with pytest.raises(OSError, match=r"Read-only file system: .*new"):
            run(tmp_path / "new", lambda *at: steps.append(at))
    assert not steps
    assert not (tmp_path / "new").exists()
