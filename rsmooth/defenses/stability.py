"""Stability training: the clean image learns the label, and the noisy copies learn its answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rsmooth.defenses.trainer import Trainer
from rsmooth.objectives import check_answers, naive
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.options import check_at_least_zero, loss_of_one_copy
from rsmooth.training.recipe import expected_loss


def stability_loss(clean: Tensor, noisy: Tensor, y: Tensor, weight: float = 2.0) -> Tensor:
    """Cross-entropy of the clean image, and of its answer to the noisy copies: (B,).

        stability_loss(batch.log_probs(x.unsqueeze(1)), batch.log_probs(points), y)

    clean, noisy: log-probabilities (B, 1, K) and (B, m, K). y: labels (B,).

    The sum of ``naive`` and weight * ``stability_penalty``. Li et al. 2019 (arXiv:1809.03113),
    section 4.2.
    """
    check_answers(y, clean, noisy)
    return naive(clean, y) + weight * stability_penalty(clean, noisy)


def stability_penalty(clean: Tensor, noisy: Tensor) -> Tensor:
    """Cross-entropy from the clean answer to the noisy ones: (B, 1, K), (B, m, K) -> (B,).

        stability_penalty(batch.log_probs(x.unsqueeze(1)), batch.log_probs(points))

    clean, noisy: log-probabilities. The clean probabilities are a soft label, through which
    gradients flow as well. Li et al. 2019 (arXiv:1809.03113), section 4.2.
    """
    return -(clean.exp() * noisy).sum(dim=2).mean(dim=1)


@TRAINERS.register("stability")
@dataclass(frozen=True, kw_only=True)
class Stability(Trainer):
    """Train on the clean image and tie the noisy copies to it (Li et al. 2019).

        Stability(stability_weight=2.0)

    stability_weight: of the penalty, >= 0.

    loss = L(F(x), y) + stability_weight * ``stability_penalty``, arXiv:1809.03113. Clean and noisy
    images are two passes, the clean one first. Each is normalised by its own batch statistics, as
    published.
    """

    stability_weight: float = 2.0

    warms_up: ClassVar[bool] = False
    computes: ClassVar[str] = "clean and noisy images in two passes"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_zero(self, "stability_weight")

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        return loss_of_one_copy(self, copies=1)  # the clean image

    def losses(self, batch: Batch) -> Tensor:
        clean = batch.log_probs(batch.x.unsqueeze(1))
        points = self.training_points(batch.g, batch.x, batch.y, batch.noise, batch.attack)
        drift = stability_penalty(clean, batch.log_probs(points))
        fit = expected_loss(lambda y: self.loss(clean, y), batch.targets)
        return fit + self.stability_weight * drift
