"""What each of two processes runs: every method, whose weights it leaves."""

import gc
import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from rsmooth import TRAINERS, SmoothAdvPGD
from rsmooth.training.distributed import Ranks
from rsmooth.training.meter import evaluate
from tests.training.helpers import build, extras_for, images, suited, weights

OPTIONS = {"epochs": 2, "batch_size": 10, "lr": 0.05, "num_noise": 2, "precision": "float32"}
# What differs from a method's own defaults, so that all of it is seen at work.
SETTINGS = {
    "smoothadv": {"attack": SmoothAdvPGD(epsilon=0.4, steps=2)},
    "reweighting": {"since": 1, "drop_below": 0.1},
    "extras-mixup": {"attack": SmoothAdvPGD(epsilon=0.4, steps=2), "fold_attack": False},
    "extras-reweight": {"ema_decay": 0.5},
}
# The attacks of the two start at random points, which each process draws for itself.
OWN = sorted(set(TRAINERS.own_names()) - {"mtl-ibp", "sabr"})
METHODS = [*OWN, "extras-mixup", "extras-reweight"]


def run(name: str) -> torch.Tensor:
    """The weights after training; without batch norm, so that shares of a batch do not matter."""
    trainer, data = replace(build(name, **OPTIONS), **SETTINGS.get(name, {})), images(13)
    g = suited(trainer, "mlp")
    trainer.fit(g, data, extras=extras_for(trainer, data), progress=False)
    return weights(g)


def with_batch_norm(ema_decay: float | None) -> torch.Tensor:
    """The validation losses, and all weights and statistics, after training with batch norm."""
    data = images(16)  # so that the last shares differ
    trainer = replace(build("gaussian", **OPTIONS), ema_decay=ema_decay)
    g = suited(trainer)
    history = trainer.fit(g, data, validation=data, progress=False)
    losses = [row["validation_loss"] for row in history]
    # Each process its own share of the images, by its own copy of the statistics.
    mine = evaluate(
        g, data, seed=0, batch_size=12, device=torch.device("cpu"), ranks=Ranks()
    ).mean_loss
    return torch.cat([torch.tensor([*losses, mine], dtype=torch.float64), weights(g)])


def threads() -> list[str]:
    """The threads of process groups that this process has, by name; one may just be ending."""
    names = []
    for path in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):
            names.append(path.read_text().strip())
    return [name for name in names if "gloo" in name]


def threads_left(seconds: float = 10.0) -> list[str]:
    """Those that are there even after a while."""
    until = time.monotonic() + seconds
    while threads() and time.monotonic() < until:
        time.sleep(0.05)
    return threads()


def live(folder: Path, rank: int, port: int) -> None:
    """What a process does; the variables are those that torchrun sets."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    sys.path.insert(0, str(Path(__file__).parents[1] / "plugins"))
    torch.set_num_threads(1)
    run(METHODS[0])  # imports the rest of torch,
    gc.freeze()  # which the collection at the end of each run need not go through again
    found = {name: run(name) for name in METHODS}
    torch.save(found, folder / f"{rank}.pt")
    norms = [with_batch_norm(decay) for decay in (None, 0.5)]
    torch.save(norms, folder / f"norms-{rank}.pt")
    # One that outlived its run could take the process down at exit (SIGABRT), and did.
    assert not threads_left(), threads()
