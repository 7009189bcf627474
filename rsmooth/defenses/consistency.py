"""Consistency regularisation: near SmoothAdv's accuracy for the price of noise training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from rsmooth.defenses.trainer import Trainer
from rsmooth.registry import TRAINERS
from rsmooth.training.options import check_at_least_zero


def consistency_penalty(
    log_probs: Tensor, *, consistency_weight: float, entropy_weight: float
) -> Tensor:
    """How far the noisy copies of an image differ, and how unsure they are: (B, m, K) -> (B,).

        consistency_penalty(log_probs, consistency_weight=10.0, entropy_weight=0.5)

    consistency_weight * mean_i KL(Fbar || F_i) + entropy_weight * H(Fbar), where Fbar is the mean
    of the copies' probabilities F_i. Jeong and Shin 2020 (arXiv:2006.04062), eq. 9 and 10.
    """
    log_mean = log_probs.logsumexp(dim=1) - math.log(log_probs.shape[1])  # (B, K)
    mean = log_mean.exp()
    entropy = -(mean * log_mean).sum(dim=1)
    divergence = (mean.unsqueeze(1) * (log_mean.unsqueeze(1) - log_probs)).sum(dim=2).mean(dim=1)
    return consistency_weight * divergence + entropy_weight * entropy


@TRAINERS.register("consistency")
@dataclass(frozen=True, kw_only=True)
class Consistency(Trainer):
    """Ask the noisy copies of an image for the same answer (Jeong and Shin 2020).

        Consistency(num_noise=2, consistency_weight=20.0)

    num_noise: copies per image, >= 2.
    consistency_weight, entropy_weight: as in ``consistency_penalty``, >= 0.

    loss = L(x + noise) + ``consistency_penalty``, arXiv:2006.04062. Published are two copies and
    weights of 10 (20 at sigma 0.25) and 0.5. With an attack it is their combination with SmoothAdv.
    """

    num_noise: int = 2
    consistency_weight: float = 10.0
    entropy_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_noise < 2:
            raise ValueError(f"expected num_noise >= 2 copies to compare, got {self.num_noise}")
        check_at_least_zero(self, "consistency_weight", "entropy_weight")

    def loss(self, log_probs: Tensor, y: Tensor) -> Tensor:
        penalty = consistency_penalty(
            log_probs,
            consistency_weight=self.consistency_weight,
            entropy_weight=self.entropy_weight,
        )
        return super().loss(log_probs, y) + penalty
