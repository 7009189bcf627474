"""SmoothMix: mix images with what an unbounded attack makes of them, down to being unsure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rsmooth.attacks.pgd import SmoothAdvPGD
from rsmooth.defenses.trainer import Trainer
from rsmooth.objectives import check_answers, check_columns, log_mean, naive
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.ending import short_of_growth
from rsmooth.training.options import (
    check_above_zero,
    check_at_least_one,
    check_at_least_zero,
    check_no_attack,
    check_own_loss,
)


def smoothmix_loss(
    clean: Tensor, mixed: Tensor, y: Tensor, mixing: Tensor, weight: float = 5.0
) -> Tensor:
    """Cross-entropy of the copies, and of the mixtures with a softened answer: (B,).

        smoothmix_loss(clean, mixed, y, mixing, weight=5.0)

    clean, mixed: log-probabilities (B, m, K) at the copies of the image and of the mixture.
    mixing: (B,), the share lambda of the attacked image in the mixture, in [0, 1/2].
    weight: eta, warmed up.

    mean_i CE(F_i, y) + weight * mean_i KL(t || G_i), with t = (1 - lambda) Fbar + lambda / K. The
    second term counts where Fbar has the label on top. Gradients flow through Fbar. Jeong et al.
    2021 (arXiv:2111.09277).
    """
    check_answers(y, clean, mixed)
    check_columns(y, mixing=(mixing, ()))
    mean, share = log_mean(clean), mixing.to(clean.dtype).unsqueeze(1)
    right = mean.argmax(dim=1) == y
    # In logarithms, so that neither an underflow nor a share of 0 has a NaN gradient.
    target = torch.logaddexp(mean + torch.log1p(-share), (share / clean.shape[2]).log())
    divergence = (target.exp().unsqueeze(1) * (target.unsqueeze(1) - mixed)).sum(dim=2).mean(dim=1)
    return naive(clean, y) + weight * torch.where(right, divergence, 0.0)


@TRAINERS.register("smoothmix")
@dataclass(frozen=True, kw_only=True)
class SmoothMix(Trainer):
    """Train on mixtures of images and their attacked versions (Jeong et al. 2021).

        SmoothMix(num_noise=2, steps=4, step_size=0.5, mix_steps=0)

    steps: of the attack on the smoothed classifier, >= 1; it has no epsilon.
    step_size: their length in [0, 1] pixel units.
    mix_steps: how many of the steps the image itself is moved before it is mixed; published are 0
        and 1. It is then kept within mix_steps * step_size, which warms up. 0 for the image as it
        is; as many as ``steps`` too.
    weight: of the mixtures, >= 0, which warms up.
    warmup_epochs, warmup_from, warmup_per: of that length and of the weight.

    loss = ``smoothmix_loss``, arXiv:2111.09277. The mixing is uniform in [0, 1/2]. The copies of
    image and mixture are two passes with the same noise. ValueError for an attack, and
    for a train_loss.
    """

    num_noise: int = 2
    steps: int = 4
    step_size: float = 0.5
    mix_steps: int = 0
    weight: float = 5.0

    soft_labels: ClassVar[bool] = False
    searches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_no_attack(self)
        check_own_loss(self)
        check_at_least_one(self, "steps")
        check_above_zero(self, "step_size")
        check_at_least_zero(self, "mix_steps", "weight")

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        # As many as steps are documented to be none.
        return {"mix_steps": f"steps={self.steps}"} if self.mix_steps > self.steps else {}

    def unreached(self) -> list[str]:
        return [*super().unreached(), *short_of_growth(self, "the weight of the mixtures")]

    def losses(self, batch: Batch) -> Tensor:
        warm = self.grown(1.0, batch.progress)
        adversarial = self._attacked(batch, self.steps, self.step_size * self.steps)
        start = batch.x
        if 0 < self.mix_steps < self.steps:
            start = self._attacked(batch, self.mix_steps, warm * self.step_size * self.mix_steps)
        mixing = 0.5 * batch.uniform("mixing", 1).squeeze(1).to(batch.x.dtype)
        x_mix = start + mixing.view(-1, 1, 1, 1) * (adversarial - start)
        clean = batch.log_probs(start.unsqueeze(1) + batch.noise)
        mixed = batch.log_probs(x_mix.unsqueeze(1) + batch.noise)
        return smoothmix_loss(clean, mixed, batch.y, mixing, warm * self.weight)

    def _attacked(self, batch: Batch, steps: int, epsilon: float) -> Tensor:
        """The images after steps that raise -log Fbar of their labels."""
        attack = SmoothAdvPGD(epsilon=epsilon, steps=steps, step_size=self.step_size)
        return attack(batch.g, batch.x, batch.y, noise=batch.noise, validate=False)
