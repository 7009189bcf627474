"""MACER: enlarge the certified radius itself, by a hinge on a soft version of it. No attack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rsmooth.defenses.trainer import Trainer
from rsmooth.noise.distributions import Gaussian, NoiseDistribution
from rsmooth.objectives import check_answers, log_mean
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.ending import never_came
from rsmooth.training.options import check_at_least_zero, check_no_attack, check_own_loss

# The published class term is -log(probability + TINY).
TINY = 1e-10


def macer_loss(
    log_probs: Tensor,
    y: Tensor,
    sigma: float,
    beta: float = 16.0,
    gamma: float = 8.0,
    weight: float = 12.0,
) -> Tensor:
    """Cross-entropy of the mean probability, and a hinge on the soft radius: (B, m, K) -> (B,).

        macer_loss(log_probs, y, sigma=0.25, beta=16.0, gamma=8.0, weight=12.0)

    sigma: of the noise. beta: sharpens the copies' answers before their mean is taken.
    gamma: the hinge's end, in standard deviations. weight: of the hinge.

    Let p be the mean of softmax(beta z_i), a and b its largest entries, xi = Phi^-1(a) - Phi^-1(b).
    The loss is -log(Fbar_y + 1e-10) + weight * sigma / 2 * (gamma - xi). The second term counts
    where p has the label on top and xi <= gamma. Zhai et al. 2020 (arXiv:2001.02378), algorithm 1.
    """
    check_answers(y, log_probs)
    of_label = log_mean(log_probs).gather(1, y.unsqueeze(1)).squeeze(1)
    tiny = torch.full_like(of_label, math.log(TINY))
    fit = -torch.logaddexp(of_label, tiny)
    return fit + weight * sigma / 2 * _hinge(
        (beta * log_probs).softmax(dim=2).mean(dim=1), y, gamma
    )


def _hinge(p: Tensor, y: Tensor, gamma: float) -> Tensor:
    """The hinge gamma - xi where p (B, K) has the label on top and xi is in reach; else 0: (B,)."""
    top = p.topk(2, dim=1)
    first, second = top.values.unbind(dim=1)
    with torch.no_grad():
        gap = torch.special.ndtri(first) - torch.special.ndtri(second)
        counts = (top.indices[:, 0] == y) & gap.isfinite() & (gap <= gamma)
    # Masked before the quantiles too: at 0 and 1 their slope is infinite, and 0 times that is NaN.
    first, second = (torch.where(counts, share, 0.5) for share in (first, second))
    hinge = gamma - (torch.special.ndtri(first) - torch.special.ndtri(second))
    return torch.where(counts, hinge, 0.0)


@TRAINERS.register("macer")
@dataclass(frozen=True, kw_only=True)
class Macer(Trainer):
    """Maximise the soft certified radius of the images that are right (Zhai et al. 2020).

        Macer(num_noise=16, batch_size=1024, weight=12.0)

    beta, gamma, weight: as in ``macer_loss``, >= 0.
    deferred_until: epoch from which the radius counts; before, the loss is the class term alone.

    loss = ``macer_loss``, arXiv:2001.02378, for Gaussian noise. A step is of batch_size / num_noise
    images, so the published 64 images and 16 copies are batch_size 1024. Published at sigma 1.0 is
    a radius that counts once the learning rate has dropped. ValueError for an attack, for a
    train_loss, and for other noise.
    """

    num_noise: int = 16
    batch_size: int = 1024
    beta: float = 16.0
    gamma: float = 8.0
    weight: float = 12.0
    deferred_until: int = 0

    soft_labels: ClassVar[bool] = False
    warms_up: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_no_attack(self)
        check_own_loss(self)
        check_at_least_zero(self, "beta", "gamma", "weight", "deferred_until")

    def check_noise(self, noise: NoiseDistribution) -> None:
        if not isinstance(noise, Gaussian):
            raise ValueError(
                f"expected Gaussian noise for {type(self).__name__}, whose loss is its radius, got "
                f"{noise}; give sigma=0.25, say, or take another trainer"
            )

    def unreached(self) -> list[str]:
        what = "the radius never counted"
        return [*super().unreached(), *never_came(self, "deferred_until", what)]

    def losses(self, batch: Batch) -> Tensor:
        log_probs = batch.log_probs(batch.x.unsqueeze(1) + batch.noise)
        deferred = self.deferred_until > 0 and batch.progress < self.deferred_until
        weight = 0.0 if deferred else self.weight
        return macer_loss(log_probs, batch.y, batch.sigma, self.beta, self.gamma, weight)
