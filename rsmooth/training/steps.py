"""One optimiser step: attack, noise, loss, update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from rsmooth.attacks.base import Attack, GradientAttack
from rsmooth.models.folding import fold_batchnorm, refold
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.compilation import compiled
from rsmooth.training.distributed import Ranks
from rsmooth.training.graphs import CudaRecorder, Recorder, Replayed
from rsmooth.training.meter import Meter
from rsmooth.training.precision import Precision, autocast
from rsmooth.training.recipe import Recipe, expected_loss, hard_labels


class Stepper:
    """The optimiser and the views of the classifier that it trains: one for the loss, one for the
    attack.

    The views share g's weights. ``trained`` is what the loss passes through (compiled, averaging
    gradients over processes); ``attacked`` is g itself or its folded copy.
    """

    def __init__(
        self, trainer: Recipe, g: SmoothedClassifier, ranks: Ranks, precision: Precision
    ) -> None:
        self.trainer, self.g, self.ranks, self.precision = trainer, g, ranks, precision
        self.parameters = [
            parameter for parameter in g.base.parameters() if parameter.requires_grad
        ]
        self.device = self.parameters[0].device
        self.optimizer = torch.optim.SGD(
            self.parameters,
            lr=trainer.lr,
            momentum=trainer.momentum,
            weight_decay=trainer.weight_decay,
            fused=True,
        )
        base = ranks.wrap(g.base)
        self.trained = _around(compiled(base, self.device) if trainer.compile else base, g)
        folded = trainer.attack is not None and trainer.fold_attack
        self.attacked = _around(fold_batchnorm(g.base), g) if folded else g
        self.meter = Meter(g.num_classes, self.device)
        self._recorder = self._choose_recorder()
        self._update = Replayed(self._attack_and_update, self._recorder)
        self._lr = torch.zeros(
            (), dtype=torch.float32, device=self.device
        )  # where a recorded step looks it up

    def _choose_recorder(self) -> Recorder | None:
        """On one GPU steps are recorded; several talk to one another, and others' attacks wait for
        the device.
        """
        ours = isinstance(self.trainer.attack, (GradientAttack, type(None)))
        on_gpu = self.device.type == "cuda" and self.ranks.size == 1
        return CudaRecorder(self.device) if self.trainer.cuda_graphs and on_gpu and ours else None

    def step(
        self,
        x: Tensor,
        targets: Tensor,
        noise: Tensor,
        *,
        lr: float,
        attack: Attack | None,
        scale: float,
    ) -> None:
        """Update the weights on one mini-batch: x (B, C, H, W), targets (B,) or (B, K), noise (B,
        m, C, H, W).

        scale: what the sum of the images' losses is multiplied by; 0 for images that only keep this
        process in step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr if self._recorder is None else self._lr.fill_(lr)
        self._update(x, targets, noise, attack=attack, scale=scale)

    def _attack_and_update(
        self, x: Tensor, targets: Tensor, noise: Tensor, *, attack: Attack | None, scale: float
    ) -> None:
        y = hard_labels(targets)
        if self.attacked is not self.g:
            refold(self.attacked.base, self.g.base)
        self.trained.train()
        with autocast(self.precision, self.device):
            points = self.trainer.training_points(self.attacked, x, y, noise, attack)
            log_probs = self.trained.log_probs(points)
        losses = expected_loss(self.trainer, log_probs, targets)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.sum() * scale)
        if self.trainer.clip_grad_norm is not None:
            clip_grad_norm_(self.parameters, self.trainer.clip_grad_norm)
        self.optimizer.step()
        if scale:
            self.meter.add(losses.detach(), log_probs.detach(), y)


def with_epsilon(attack: Attack | None, epsilon: float) -> Attack | None:
    """The attack with another budget; a new value, the old one stays as it is."""
    return None if attack is None else replace(attack, epsilon=epsilon)


@contextmanager
def memory_format(base: nn.Module, channels_last: bool) -> Iterator[None]:
    """Within this context the convolutions' weights lie channels last, if asked; afterwards as
    torch has them.
    """
    if channels_last:
        base.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        base.to(memory_format=torch.contiguous_format)


def _around(base: nn.Module, g: SmoothedClassifier) -> SmoothedClassifier:
    """The smoothed classifier of another base, otherwise like g."""
    return SmoothedClassifier(base, g.sigma, g.num_classes, num_noise=g.num_noise)
