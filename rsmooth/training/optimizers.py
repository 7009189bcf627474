"""The optimisers that a recipe can name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from rsmooth.training.muon import Muon

OptimizerName = Literal["sgd", "adam", "adamw", "muon"]


def build_optimizer(
    name: OptimizerName,
    parameters: Sequence[nn.Parameter],
    *,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> Optimizer:
    """Torch's optimiser of that name in its fused form, or ``Muon``.

    momentum: of SGD and Muon; the first beta of Adam and AdamW. nesterov: of SGD and Muon alone.

    Kingma and Ba 2015 (arXiv:1412.6980), Loshchilov and Hutter 2019 (arXiv:1711.05101).
    """
    shared: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "fused": True}
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=momentum, nesterov=nesterov, **shared)
    if name == "adam":
        return torch.optim.Adam(parameters, betas=(momentum, 0.999), **shared)
    if name == "muon":
        return Muon(
            parameters, momentum=momentum, nesterov=nesterov, lr=lr, weight_decay=weight_decay
        )
    return torch.optim.AdamW(parameters, betas=(momentum, 0.999), **shared)


def make_recordable(optimizer: Optimizer) -> None:
    """Allow a CUDA graph to record the optimiser's steps.

    make_recordable(stepper.optimizer)
    """
    part: Any = optimizer.adamw if isinstance(optimizer, Muon) else optimizer
    for group in part.param_groups:
        if "capturable" in group:
            group["capturable"] = True
    # torch would warn of the steps before the first recording, which are meant.
    part._warned_capturable_if_run_uncaptured = True
