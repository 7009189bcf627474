"""CAT-RS: train less on images that are hard under noise, and more against the worst noise."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from rsmooth.attacks import l2
from rsmooth.defenses.trainer import Trainer
from rsmooth.defenses.voting import votes_of_teacher
from rsmooth.objectives import check_answers, check_columns
from rsmooth.registry import TRAINERS
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.batch import Batch
from rsmooth.training.ending import never_came
from rsmooth.training.options import (
    check_at_least_one,
    check_at_least_zero,
    check_no_attack,
    check_own_loss,
    check_range,
)
from rsmooth.training.sampling import RunStart

SOFT = "soft_labels"


def catrs_loss(
    clean: Tensor,
    adversarial: Tensor,
    y: Tensor,
    soft_labels: Tensor,
    kept: Tensor,
    weight: float = 1.0,
) -> Tensor:
    """Cross-entropy of the best copies, and the worst divergence from the soft label: (B,).

        catrs_loss(clean, adversarial, y, soft_labels, kept, weight=1.0)

    clean, adversarial: log-probabilities (B, m, K) under plain and under attacked noise.
    soft_labels: class probabilities p (B, K). kept: (B,), the binomial draw of how many copies
        count; 0 counts as 1. weight: of the second term.

    With k copies kept, the loss is 1/m * (sum of the k smallest CE(F_i, y)), and where k = m also
    weight * max_i KL(p || F(x + worst noise_i)). Jeong et al. 2023 (arXiv:2212.09000).
    """
    check_answers(y, clean, adversarial)
    check_columns(y, kept=(kept, ()), soft_labels=(soft_labels, (clean.shape[2],)))
    m = clean.shape[1]
    k = kept.clamp(min=1)
    ascending = -clean.gather(2, _column(y, m)).squeeze(2).sort(dim=1, descending=True).values
    low = torch.where(torch.arange(m, device=k.device) < k.unsqueeze(1), ascending, 0.0).sum(1) / m
    high = divergence(soft_labels.to(clean.dtype), adversarial).amax(dim=1)
    return low + weight * torch.where(k == m, high, 0.0)


def divergence(target: Tensor, log_probs: Tensor) -> Tensor:
    """KL(target || F_i) of each copy: probabilities (B, K), log-probabilities (B, m, K) -> (B, m).

        divergence(soft_labels, log_probs)

    Entries of the target that are 0 count as 0.
    """
    certain = torch.xlogy(target, target).sum(dim=1, keepdim=True)
    return certain - (target.unsqueeze(1) * log_probs).sum(dim=2)


def worst_noise(
    g: SmoothedClassifier, x: Tensor, target: Tensor, noise: Tensor, *, epsilon: float, steps: int
) -> Tensor:
    """The noise near ``noise`` under which g's base is furthest from a target: (B, m, C, H, W).

        worst_noise(batch.g, x, soft_labels, noise, epsilon=1.0, steps=4)

    target: class probabilities (B, K).
    epsilon: how far each copy's noise may move, in [0, 1] pixel units.
    steps: of length 2 * epsilon / steps, up the gradient of KL(target || F(x + noise_i)).

    Each copy is on its own. After every step it gets the mean and the root mean square of its noise
    again. There is no box. Jeong et al. 2023 (arXiv:2212.09000).
    """
    start = noise.flatten(0, 1)
    moved, target = start, target.to(x.dtype)
    for _ in range(steps):
        point = moved.detach().requires_grad_()
        with torch.enable_grad():
            loss = divergence(target, g.log_probs(x.unsqueeze(1) + point.view_as(noise))).sum()
            (gradient,) = torch.autograd.grad(loss, point)
        step = moved + 2 * epsilon / steps * l2.damped_unit(gradient)
        moved = _restandardised(start + l2.project(step - start, epsilon), start)
    return moved.view_as(noise)


def _restandardised(moved: Tensor, like: Tensor) -> Tensor:
    """Each image shifted and scaled to mean and root mean square of ``like``."""
    mean, target = (one.mean(dim=(1, 2, 3), keepdim=True) for one in (moved, like))
    length = l2.norms(moved)
    scale = l2.norms(like) / length.masked_fill(length == 0, 1.0)
    return target + (moved - mean) * scale


def _column(y: Tensor, m: int) -> Tensor:
    return y.view(-1, 1, 1).expand(-1, m, 1)


@TRAINERS.register("cat-rs")
@dataclass(frozen=True, kw_only=True)
class CatRS(Trainer):
    """Train with the confidence that a teacher has under noise (Jeong et al. 2023).

        CatRS(teacher="runs/gaussian", weight=0.5)

    epsilon, steps: of the search for the worst noise, as in ``worst_noise``. epsilon does not warm
        up.
    epsilon_doubles_at: epoch from which epsilon is twice as large; None for never.
    weight: of the adversarial term, >= 0.
    confidence_mask: whether the soft label's probability of the label is the chance that a copy is
        kept. Otherwise it is the share of the copies that are right.
    teacher: the run folder or model file of a classifier trained on noise. Its hard votes on the
        plain training images are the soft labels.
    votes: per image.
    soft_label_file: journal that keeps the votes, or that already has them, such as one of
        ``rsmooth certify --split train``. None keeps them in the run folder.

    loss = ``catrs_loss``, arXiv:2212.09000. The two passes are over the plain copies and over those
    with the worst noise. In place of a teacher, ``fit`` takes extras={"soft_labels": (N, K)}. The
    published labels are of one crop and flip of each image, ours are of the image itself.
    ValueError for an attack, and for a train_loss.
    """

    num_noise: int = 4
    epsilon: float = 1.0
    steps: int = 4
    epsilon_doubles_at: int | None = None
    weight: float = 1.0
    confidence_mask: bool = False
    # The soft labels themselves are part of a run's configuration, not where they come from.
    teacher: str | None = field(default=None, metadata={"changes_result": False})
    votes: int = field(default=10_000, metadata={"changes_result": False})
    soft_label_file: str | None = field(default=None, metadata={"changes_result": False})

    soft_labels: ClassVar[bool] = False
    warms_up: ClassVar[bool] = False
    searches: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = (SOFT,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_no_attack(self)
        check_own_loss(self)
        check_at_least_one(self, "votes")
        check_at_least_zero(self, "epsilon", "weight", "steps")
        check_range(
            self, "epsilon_doubles_at", lambda value: value is None or value >= 0, "an epoch >= 0"
        )

    def make_extras(self, start: RunStart) -> Mapping[str, Tensor]:
        return votes_of_teacher(
            start, SOFT, teacher=self.teacher, votes=self.votes, file=self.soft_label_file
        )

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        if SOFT in extras:
            return dict.fromkeys(("teacher", "votes", "soft_label_file"), f"extras of {SOFT!r}")
        return {"votes": "teacher=None"} if self.teacher is None else {}

    def unreached(self) -> list[str]:
        what = "epsilon was not doubled"
        return [*super().unreached(), *never_came(self, "epsilon_doubles_at", what)]

    def losses(self, batch: Batch) -> Tensor:
        soft = batch.extras[SOFT]
        clean = batch.log_probs(batch.x.unsqueeze(1) + batch.noise)
        right = (clean.argmax(dim=2) == batch.y.unsqueeze(1)).double().mean(dim=1)
        of_label = soft.gather(1, batch.y.unsqueeze(1)).squeeze(1).double()
        chance = of_label if self.confidence_mask else right
        drawn = batch.uniform("kept", clean.shape[1])
        kept = (drawn < chance.unsqueeze(1)).sum(dim=1)
        # After the first pass, whose running statistics the search meets.
        options: dict[str, Any] = {"epsilon": self._epsilon(batch), "steps": self.steps}
        noise = worst_noise(batch.g, batch.x, soft, batch.noise, **options)
        adversarial = batch.log_probs(batch.x.unsqueeze(1) + noise)
        return catrs_loss(clean, adversarial, batch.y, soft, kept, self.weight)

    def _epsilon(self, batch: Batch) -> float:
        doubled = self.epsilon_doubles_at is not None and batch.progress >= self.epsilon_doubles_at
        return 2 * self.epsilon if doubled else self.epsilon
