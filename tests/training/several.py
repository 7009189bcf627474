"""What each of two processes runs: methods of one and of two passes, whose weights it leaves."""

import sys
from pathlib import Path

import torch

from rsmooth import TRAINERS, SmoothAdvPGD
from tests.training.helpers import classifier, images, weights

OPTIONS = {"epochs": 2, "batch_size": 10, "lr": 0.05, "num_noise": 2, "precision": "float32"}
METHODS = {
    "smoothadv": {"attack": SmoothAdvPGD(epsilon=0.4, steps=2)},
    "stability": {},
    "extras-mixup": {"attack": SmoothAdvPGD(epsilon=0.4, steps=2), "fold_attack": False},
    "extras-reweight": {"ema_decay": 0.5},
}


def run(name: str) -> torch.Tensor:
    """The weights after training; without batch norm, so that shares of a batch do not matter."""
    g = classifier("mlp")
    TRAINERS.create(name, **OPTIONS, **METHODS[name]).fit(g, images(13), progress=False)
    return weights(g)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))
    torch.set_num_threads(1)
    found = {name: run(name) for name in METHODS}
    torch.save(found, sys.argv[1] + f"/{torch.distributed.is_initialized()}.pt")
