"""Robust self-training by stability: noisy copies are to answer as the clean image does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rsmooth.defenses.trainer import Trainer
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.options import check_at_least_zero, loss_of_one_copy
from rsmooth.training.recipe import expected_loss
from rsmooth.training.schedules import Schedule


def stability_divergence(clean: Tensor, noisy: Tensor) -> Tensor:
    """KL(F(x) || F(x + noise)), averaged over the copies: (B, 1, K), (B, m, K) -> (B,).

        stability_divergence(batch.log_probs(x.unsqueeze(1)), batch.log_probs(points))

    clean, noisy: log-probabilities; gradients flow through both. Carmon et al. 2019
    (arXiv:1905.13736).
    """
    return (clean.exp() * (clean - noisy)).sum(dim=2).mean(dim=1)


@TRAINERS.register("rst-stab")
@dataclass(frozen=True, kw_only=True)
class RobustSelfTraining(Trainer):
    """Learn labels and pseudo-labels on clean images, and tie noisy copies to them (Carmon et al.).

        RobustSelfTraining().fit(g, data.train, unlabelled=pseudo_label(teacher, images))

    stability_weight: of the divergence, >= 0.

    loss = L(F(x), y) + stability_weight * ``stability_divergence``, arXiv:1905.13736, with the
    noisy images clamped to [0, 1]. Noisy and clean images are two passes, the noisy ones first, as
    published. The defaults are the published ones: half of each mini-batch is pseudo-labelled,
    under one batch norm; Nesterov momentum, cosine. 400 passes over 50,000 labelled images are
    their 800 epochs of 50,000 images of both kinds. Without unlabelled images it is stability
    training.
    """

    stability_weight: float = 6.0
    unlabelled_share: float | None = 0.5
    epochs: int = 400
    nesterov: bool = True
    weight_decay: float = 5e-4
    schedule: Schedule = "cosine"

    warms_up: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_zero(self, "stability_weight")

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        return loss_of_one_copy(self, copies=1)  # the clean image

    def losses(self, batch: Batch) -> Tensor:
        points = self.training_points(batch.g, batch.x, batch.y, batch.noise, batch.attack)
        noisy = batch.log_probs(points.clamp(0.0, 1.0))
        clean = batch.log_probs(batch.x.unsqueeze(1))
        fit = expected_loss(lambda y: self.loss(clean, y), batch.targets)
        return fit + self.stability_weight * stability_divergence(clean, noisy)
