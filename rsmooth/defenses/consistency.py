"""Consistency regularisation: certified accuracy near SmoothAdv's for the price of noise training,
no attack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from rsmooth.defenses.trainer import Trainer
from rsmooth.registry import TRAINERS


@TRAINERS.register("consistency")
@dataclass(frozen=True, kw_only=True)
class Consistency(Trainer):
    """Ask the noisy copies of an image for the same answer (Jeong & Shin 2020, arXiv:2006.04062,
    eq. 9 and 10).

    loss = L(x + noise) + consistency_weight * mean_i KL(Fbar || F(x + noise_i)) + entropy_weight *
    H(Fbar), with Fbar the mean of F over the copies. Published: two copies, weights 10 (20 at sigma
    0.25) and 0.5. An attack may be given too, as in their combination with SmoothAdv.
    """

    num_noise: int = 2
    consistency_weight: float = 10.0
    entropy_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_noise < 2:
            raise ValueError(f"expected num_noise >= 2 copies to compare, got {self.num_noise}")

    def loss(self, log_probs: Tensor, y: Tensor) -> Tensor:
        log_mean = log_probs.logsumexp(dim=1) - math.log(log_probs.shape[1])  # (B, K)
        mean = log_mean.exp()
        entropy = -(mean * log_mean).sum(dim=1)
        divergence = (
            (mean.unsqueeze(1) * (log_mean.unsqueeze(1) - log_probs)).sum(dim=2).mean(dim=1)
        )
        return (
            super().loss(log_probs, y)
            + self.consistency_weight * divergence
            + self.entropy_weight * entropy
        )
