"""The Trainer: every option of a training run, and the two hooks in which one defence differs from
another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from rsmooth.attacks.base import Attack
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.objectives import Objective, resolve_objective
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.precision import Precision
from rsmooth.training.schedules import BudgetClock, Schedule
from rsmooth.training.tensorboard import check_installed

TrainingData = ImageData | FolderData | tuple[Any, Any] | Dataset[Any]


def _no_effect(default: Any) -> Any:
    """A field that changes how a run is carried out, but not its result: free to change when a run
    is resumed.
    """
    return field(default=default, metadata={"changes_result": False})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Train a smoothed classifier's base on Gaussian noise, by default at points that an attack
    perturbed first.

    The defaults are the published recipe of SmoothAdv (Salman et al. 2019, arXiv:1906.04584) for
    CIFAR-10 from scratch. Each batch is cut into ``num_noise`` mini-batches; for each, the noise is
    drawn once (num_noise copies an image), handed to the attack, added to what the attack returns,
    and one optimiser step is made on all copies. So a base-target attack gives order (2), attack f
    and then add noise, and a smoothed-target one gives order (4), SmoothAdv. With attack None it is
    Gaussian augmentation (Cohen et al. 2019, arXiv:1902.02918).

    A variant overrides ``training_points``, a further method ``loss``; both see only one
    mini-batch.

    attack: how training points are perturbed; None for noise alone.
    num_noise: noise copies m of each image, and so optimiser steps a batch; learning rate is not
        rescaled.
    train_loss: "naive", the mean cross-entropy over the copies (the published code), or
        "smoothadv", the cross-entropy of their mean probability (the paper's formula); or any
        function (B, m, K), (B,) -> (B,).
    epochs: passes over the data; with ``budget_seconds`` the length that the schedules are laid out
        for.
    batch_size: images a batch over all processes, before it is cut into mini-batches.
    lr, momentum, weight_decay: of SGD; the decay acts on all parameters.
    schedule: "step" (lr * lr_gamma every lr_step_epochs) or "one-cycle" (up over 30 % of the run,
        down to 0; lr is its peak, lr_step_epochs and lr_gamma play no part).
    warmup_epochs: epochs over which the attack's epsilon grows linearly to its full value; 0 or 1
        for none.
    clip_grad_norm: largest norm of the whole gradient; None leaves it alone.
    augment: random crop and flip; None means for images with colour. Image folders crop on their
        own.
    seed: of order, crops, flips and noise (not of the weights that the classifier came with).
    precision: "float32", "bfloat16" (autocast; weights and log-probabilities stay float32), or
        "auto": bfloat16 where a probe at the start finds it faster. What was chosen stands in the
        metrics and holds for a resumed run.
    channels_last: lay the convolutions' weights out channels last during training, which CPUs and
        GPUs prefer.
    compile: run the base classifier through torch.compile, whose start takes minutes for a deep
        network; with a warning and without it where there is no compiler.
    cuda_graphs: on one GPU, record a step's kernels and launch them at once, made for deep, narrow
        networks; off until it has been measured. ``training_points`` and ``loss`` must then do the
        same for the same arguments; where they wait for the GPU, training goes on without.
    fold_attack: attack a copy with batch norm folded into the convolutions, refreshed every step;
        the same function up to rounding, in fewer passes over memory.
    budget_seconds: train for this long instead of for ``epochs``, stretching the schedules over it.
    budget_clock: what the seconds are of: this process' CPU time ("process") or real time ("wall").
    checkpoint_seconds: how often, at least, a run with a run_dir is saved within an epoch.
    workers: processes that read image folders.
    tensorboard: write the metrics for TensorBoard, too (needs the extra of that name).
    """

    attack: Attack | None = None
    num_noise: int = 1
    train_loss: str | Objective = "naive"
    epochs: int = 150
    batch_size: int = 256
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: Schedule = "step"
    lr_step_epochs: int = 50
    lr_gamma: float = 0.1
    warmup_epochs: int = 10
    clip_grad_norm: float | None = None
    augment: bool | None = None
    seed: int = 0
    precision: Precision = "auto"
    channels_last: bool = True
    compile: bool = False
    fold_attack: bool = True
    budget_seconds: float | None = None
    budget_clock: BudgetClock = "process"
    checkpoint_seconds: float = _no_effect(300.0)
    cuda_graphs: bool = _no_effect(False)
    workers: int = _no_effect(4)
    tensorboard: bool = _no_effect(False)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "num_noise", "lr_step_epochs"):
            _check(
                self, name, lambda value: isinstance(value, int) and value >= 1, "an integer >= 1"
            )
        for name in ("lr", "lr_gamma", "checkpoint_seconds", "budget_seconds", "clip_grad_norm"):
            _check(self, name, lambda value: value is None or 0 < value < math.inf, "a number > 0")
        for name in ("momentum", "weight_decay", "warmup_epochs", "workers"):
            _check(self, name, lambda value: 0 <= value < math.inf, "a number >= 0")
        for name, known in (
            ("schedule", ("step", "one-cycle")),
            ("budget_clock", ("process", "wall")),
            ("precision", ("float32", "bfloat16", "auto")),
        ):
            _check(self, name, known.__contains__, f"one of {', '.join(known)}")
        if self.num_noise > self.batch_size:
            raise ValueError(
                "expected num_noise <= batch_size (each batch is cut into num_noise "
                "mini-batches), got "
                f"num_noise={self.num_noise}, batch_size={self.batch_size}"
            )
        resolve_objective(self.train_loss)
        if self.tensorboard:
            check_installed()
        if not isinstance(self.attack, (Attack, type(None))):
            raise ValueError(
                "expected an attack such as SmoothAdvPGD(epsilon=0.5, steps=2), or None, got "
                f"{self.attack!r}"
            )

    def training_points(
        self, g: SmoothedClassifier, x: Tensor, y: Tensor, noise: Tensor, attack: Attack | None
    ) -> Tensor:
        """The points to train on: images x (B, C, H, W), labels (B,), noise (B, m, C, H, W) -> (B,
        M, C, H, W).

        attack: this epoch's, its epsilon warmed up. Here: perturb, then add the noise that the
        attack saw; M = m.
        """
        if attack is not None:
            x = attack(g, x, y, noise=noise, validate=False)
        return x.unsqueeze(1) + noise

    def loss(self, log_probs: Tensor, y: Tensor) -> Tensor:
        """The loss of each image from the log-probabilities at its points: (B, M, K), labels (B,)
        -> (B,).
        """
        return resolve_objective(self.train_loss)(log_probs, y)


def _check(recipe: Recipe, name: str, holds: Callable[[Any], bool], wanted: str) -> None:
    value = getattr(recipe, name)
    if not holds(value):
        raise ValueError(f"expected {name} to be {wanted}, got {value!r}")


def describe(recipe: Recipe) -> dict[str, Any]:
    """The options that decide a run's result, as plain values: what two runs are compared by."""
    options = {
        f.name: getattr(recipe, f.name)
        for f in fields(recipe)
        if f.metadata.get("changes_result", True)
    }
    return {
        "trainer": type(recipe).__name__,
        **{name: _plain(value) for name, value in options.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Attack):
        options = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        return {"attack": type(value).__name__, **options}
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value if isinstance(value, (int, float, str, bool, type(None))) else repr(value)


def hard_labels(targets: Tensor) -> Tensor:
    """Labels (B,) from labels (B,) or class probabilities (B, K)."""
    return targets if targets.ndim == 1 else targets.argmax(dim=1)


def expected_loss(recipe: Recipe, log_probs: Tensor, targets: Tensor) -> Tensor:
    """The trainer's loss for labels (B,), or its mean under class probabilities (B, K): -> (B,)."""
    if targets.ndim == 1:
        return recipe.loss(log_probs, targets)
    classes = range(targets.shape[1])
    of_class = [
        recipe.loss(log_probs, torch.full_like(targets[:, 0], k, dtype=torch.int64))
        for k in classes
    ]
    return (targets * torch.stack(of_class, dim=1)).sum(dim=1)
