"""MACER: a hinge on the soft certified radius, no attack (Zhai et al. 2020, arXiv:2001.02378)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth import Trainer, smoothadv
from rsmooth.training import Batch


@dataclass(frozen=True, kw_only=True)
class Macer(Trainer):
    """Make the soft radius of each image that is right larger, up to gamma standard deviations."""

    num_noise: int = 16
    beta: float = 16.0
    gamma: float = 8.0
    weight: float = 12.0
    deferred_until: int = 0

    def losses(self, batch: Batch) -> Tensor:
        points = self.training_points(batch.g, batch.x, batch.y, batch.noise, batch.attack)
        log_probs = batch.log_probs(points)
        fit = smoothadv(log_probs, batch.y)
        if batch.epoch < self.deferred_until:
            return fit
        (first, second), classes = _largest((self.beta * log_probs).softmax(dim=2).mean(dim=1))
        usable = (classes == batch.y) & (first < 1) & (second > 0)
        # Masked before the quantile as well: its slope at 1 is infinite, and 0 times that is NaN.
        shares = (torch.where(usable, share, 0.5) for share in (first, second))
        gap = torch.special.ndtri(next(shares)) - torch.special.ndtri(next(shares))
        hinge = torch.where(usable & (gap <= self.gamma), self.gamma - gap, 0.0)
        return fit + self.weight * batch.sigma / 2 * hinge


def _largest(shares: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    top = shares.topk(2, dim=1)
    return (top.values[:, 0], top.values[:, 1]), top.indices[:, 0]
