"""A run that ends at any write, killed or refused by the disk, goes on to the same weights, bit for bit."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.smoothed import SmoothedClassifier
from tests.defenses.helpers import classifier, images, weights

ROOT = Path(__file__).parents[2]
POINTS = ("before-write", "mid-write", "before-rename", "after-rename")
# Two epochs of two steps, saved after each step and each epoch: the fourth checkpoint lies within the second epoch.
WRITES = [("checkpoint.pt", 1), ("checkpoint.pt", 4), ("metrics.jsonl", 4), ("best.pt", 1), ("model.pt", 1)]
DEATHS = [(f"{name}/{point}", turn) for name, turn in WRITES for point in POINTS]
SCRIPT = """
import os, sys
from pathlib import Path
import torch._dynamo  # which every optimiser loads
from tests.defenses.test_crashes import DEATHS, run
for number, (point, turn) in enumerate(DEATHS):
    child = os.fork()  # one import for all deaths; before any work, so no threads
    if child == 0:
        os.environ["RSMOOTH_CRASH_AT"] = f"{point}:{turn}"
        run(Path(sys.argv[1]) / str(number))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 137, (point, turn)
"""


def run(folder: Path | None) -> Tensor:
    g = classifier()
    trainer = Trainer(attack=SmoothAdvPGD(epsilon=0.5, steps=1), epochs=2, batch_size=12, lr=0.05, warmup_epochs=1,
                      checkpoint_seconds=1e-9)
    trainer.fit(g, images(), validation=images(9, seed=1), run_dir=folder, progress=False)
    return weights(g)


@pytest.fixture(scope="module")
def unbroken() -> Tensor:
    return run(None)


def test_every_crash_point_resumes_to_the_same_weights(tmp_path: Path, unbroken: Tensor) -> None:
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, check=True, env={**os.environ, **threads})
    for number, death in enumerate(DEATHS):
        folder = tmp_path / str(number)
        assert torch.equal(run(folder), unbroken), death
        assert torch.equal(weights(SmoothedClassifier.load(folder / "model.pt")), unbroken), death
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2, death
        assert sorted(os.listdir(folder)) == ["best.pt", "checkpoint.pt", "metrics.jsonl", "model.pt"], death


@pytest.mark.parametrize(("name", "turn"), WRITES)
def test_a_full_disk_leaves_what_was_there_and_the_run_goes_on(name: str, turn: int, tmp_path: Path, unbroken: Tensor,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    left, rename = [turn], os.replace

    def refuse(source: str, target: Path) -> None:
        left[0] -= target.name == name
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    kept = "the file is as it was before" if turn > 1 else "nothing was written"
    with pytest.raises(OSError, match=f"No space left on device; {kept}: .*{name}"):
        run(tmp_path)
    monkeypatch.undo()
    assert not list(tmp_path.glob(".*.tmp"))
    assert torch.equal(run(tmp_path), unbroken)


@pytest.mark.parametrize("damage", [lambda whole: whole[:-500], lambda whole: whole[:9000] + b"?" + whole[9001:]])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path: Path) -> None:
    run(tmp_path)
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"expected a training checkpoint in .*, got a file that is damaged"):
        run(tmp_path)
