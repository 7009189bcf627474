"""Two processes under torchrun train what one process trains, also when one of them dies and all are restarted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.defenses.distributed import Ranks, _same_tensors, joined
from rsmooth.smoothed import SmoothedClassifier
from tests.defenses.helpers import classifier, images, weights

ROOT = Path(__file__).parents[2]
# 13 images, batches of 4 in mini-batches of 2: the last step has a single image, which leaves one process without any.
COUNT, OPTIONS = 13, {"num_noise": 2, "epochs": 3, "batch_size": 4, "lr": 0.05, "warmup_epochs": 2,
                      "precision": "float32", "checkpoint_seconds": 1e-9}
SCRIPT = """
import os, sys
from pathlib import Path
from tests.defenses.test_distributed import run

def crash(epoch, step):
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == "1" and (epoch, step) == (1, 4):
        os._exit(3)

run(Path(sys.argv[1]), crash)
"""


def run(folder: Path | None, callback=None) -> tuple[torch.Tensor, list[dict[str, float | int | str]]]:  # type: ignore[no-untyped-def]
    g = classifier("mlp")
    trainer = Trainer(attack=SmoothAdvPGD(epsilon=0.5, steps=2), **OPTIONS)
    history = trainer.fit(g, images(COUNT), validation=images(9, seed=1), run_dir=folder, progress=False,
                          callback=callback)
    return weights(g), history


def test_two_processes_equal_one_and_survive_the_loss_of_one(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1",
               str(script), str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    alone, history = run(None)
    together = SmoothedClassifier.load(tmp_path / "run" / "model.pt")
    assert torch.allclose(weights(together), alone, atol=1e-5)
    rows = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["history"]
    assert len(rows) == len(history)
    for ours, theirs in zip(rows, history, strict=True):
        for name in ("epoch", "train_loss", "train_accuracy", "validation_accuracy", "epsilon", "images", "steps"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5)


def test_shares_part_every_mini_batch() -> None:
    positions = torch.arange(7)
    shares = [Ranks(rank, 3).share(positions) for rank in range(3)]
    assert torch.equal(torch.cat(shares).sort().values, positions)
    assert not len(Ranks(2, 3).share(torch.arange(2)))


def test_one_process_needs_no_others() -> None:
    with joined(torch.device("cpu")) as ranks:
        assert (ranks.first, ranks.size, ranks.agree(2.5, torch.device("cpu"))) == (True, 1, 2.5)
        base = nn.Linear(2, 2)
        assert ranks.wrap(base) is base
        assert torch.equal(ranks.total(torch.ones(2)), torch.ones(2))


def test_the_view_for_synchronised_batch_norm_shares_weights_and_statistics() -> None:
    base = classifier().base
    view = nn.SyncBatchNorm.convert_sync_batchnorm(_same_tensors(base))
    assert any(isinstance(layer, nn.SyncBatchNorm) for layer in view.modules())
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in base.modules())
    ours, theirs = base.state_dict(keep_vars=True), view.state_dict(keep_vars=True)
    assert all(ours[name].data_ptr() == theirs[name].data_ptr() for name in ours)
    assert all(ours[name] is theirs[name] for name, _ in base.named_parameters())
