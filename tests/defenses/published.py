"""What the authors' own code printed: cases cut out of a larger file, and one step on their net.

Keys are ``method/case/array``. The axes of copies are (B, m, ...). ``loss`` is the mean over the
images, ``grad*`` the gradient of that mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rsmooth.defenses import Trainer
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.steps import Stepper

Case = dict[str, Tensor]
FOLDER = Path(__file__).with_name("oracles")


def cases(file: str, method: str, folder: Path = FOLDER) -> dict[str, Case]:
    """The cases of a method by name, each its arrays by name."""
    stored = np.load(folder / f"{file}.npz")
    found: dict[str, Case] = {}
    for key in stored.files:
        if key.startswith(f"{method}/"):
            case, name = key.removeprefix(f"{method}/").split("/", 1)
            found.setdefault(case, {})[name] = torch.from_numpy(stored[key])
    return found


def arrays(file: str, method: str) -> Case:
    """The arrays of a method without cases, such as a step."""
    stored = np.load(FOLDER / f"{file}.npz")
    keys = [key for key in stored.files if key.startswith(f"{method}/")]
    return {key.removeprefix(f"{method}/"): torch.from_numpy(stored[key]) for key in keys}


def network(case: Case, prefix: str = "net/") -> nn.Sequential:
    """The authors' toy network with the weights of a case, float64."""
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5)).double()
    weights = {name.removeprefix(prefix): own for name, own in case.items() if prefix in name}
    net.load_state_dict(weights)
    return net


def log_probs(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits that ask for a gradient, and their log-softmax."""
    asking = logits.clone().requires_grad_()
    return asking, asking.log_softmax(dim=-1)


def check_step(
    trainer: Trainer, case: Case, extras: Mapping[str, Tensor] | None = None, near: float = 1e-6
) -> None:
    """One step of the trainer: the authors' loss, gradients and statistics of batch norm."""
    g = SmoothedClassifier(network(case), float(case["sigma"]), 5)
    stepper = Stepper(trainer, g, Ranks(), "float32")
    x, count = case["x"], len(case["x"])
    stepper.step(
        x,
        case["y"],
        case["noise"],
        torch.arange(count),
        lr=0.0,
        attack=trainer.attack,
        scale=1 / count,
        extras=extras,
    )
    assert abs(float(stepper.meter.totals[0]) / count - float(case["loss"])) < near
    for name, own in g.base.named_parameters():
        torch.testing.assert_close(own.grad, case[f"grad/{name}"], rtol=0, atol=near)
    for name, own in g.base.named_buffers():
        if f"after/{name}" in case:
            torch.testing.assert_close(own, case[f"after/{name}"], rtol=0, atol=near)
