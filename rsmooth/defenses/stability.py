"""Stability training: the answer at the clean image is the label, the answer under noise is to
follow it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack
from rsmooth.defenses.trainer import Trainer
from rsmooth.registry import TRAINERS
from rsmooth.smoothed import SmoothedClassifier


@TRAINERS.register("stability")
@dataclass(frozen=True, kw_only=True)
class Stability(Trainer):
    """Train on the clean image and tie the noisy copies to it (Li et al. 2019, arXiv:1809.03113,
    section 4.2).

    loss = CE(F(x), y) + stability_weight * mean_i CE(F(x), F(x + noise_i)), the second with F(x) as
    soft label.
    """

    stability_weight: float = 2.0

    def training_points(
        self, g: SmoothedClassifier, x: Tensor, y: Tensor, noise: Tensor, attack: Attack | None
    ) -> Tensor:
        """The clean image, then the copies of the default order; M = m + 1."""
        return torch.cat([x.unsqueeze(1), super().training_points(g, x, y, noise, attack)], dim=1)

    def loss(self, log_probs: Tensor, y: Tensor) -> Tensor:
        clean, noisy = log_probs[:, :1], log_probs[:, 1:]
        drift = -(clean.exp() * noisy).sum(dim=2).mean(dim=1)
        return super().loss(clean, y) + self.stability_weight * drift
