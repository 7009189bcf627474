"""Reweighting: give up hard images, draw easy ones more often, attack the noise on its sphere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from scipy.special import ndtri
from torch import Tensor

from rsmooth.attacks import l2
from rsmooth.certify.proof.bounds import lower_confidence_bound
from rsmooth.defenses.trainer import Trainer
from rsmooth.noise.distributions import Gaussian, NoiseDistribution
from rsmooth.objectives import naive
from rsmooth.registry import TRAINERS
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.batch import Batch
from rsmooth.training.ending import never_came
from rsmooth.training.options import (
    check_above_zero,
    check_at_least_one,
    check_at_least_zero,
    check_no_attack,
    check_range,
    loss_of_one_copy,
)
from rsmooth.training.sampling import EpochStart

# As published: the share that no weight falls below, and the error of the bound.
FLOOR, ALPHA = 0.75, 0.1


def easiness_weights(shares: Tensor, copies: int = 16) -> Tensor:
    """Sampling weights from the shares of noisy copies that are right: (N,) -> (N,) float64.

        easiness_weights(torch.tensor([0.5, 1.0]))  # [0.154, 1.108]

    With c = floor(copies * clip(share, 3/4, 1)), a weight is Phi^-1 of the lower 90 % confidence
    bound of c among copies: the radius in units of sigma that the copies would certify. Sun et al.
    2025 (arXiv:2410.06895).
    """
    # A share is k / copies, rounded: k itself must not become k - 1.
    exact = copies * shares.double().clamp(FLOOR, 1.0) * (1 + 1e-6)
    counts = exact.clamp(max=copies).floor().long().tolist()
    return torch.tensor(
        [_weight(count, copies) for count in counts], dtype=torch.float64, device="cpu"
    )


@cache
def _weight(right: int, copies: int) -> float:
    return max(float(ndtri(lower_confidence_bound(right, copies, ALPHA))), 0.0)


def noise_on_sphere(
    g: SmoothedClassifier, x: Tensor, y: Tensor, noise: Tensor, *, step_size: float, steps: int
) -> Tensor:
    """Noise of the same length under which a copy is wrong, if found: (B, m, C, H, W).

        noise_on_sphere(batch.g, x, y, noise, step_size=0.25, steps=3)

    step_size: of a step up the gradient of CE(F(x + noise_i), y), in [0, 1] pixel units. After each
        step the noise gets its length again. steps: at most.

    Each copy is on its own, and stops where it is wrong; one that is wrong already stays as it is.
    The last step is taken unseen. Sun et al. 2025 (arXiv:2410.06895).
    """
    start = noise.flatten(0, 1)
    length, moved = l2.norms(start), start
    for _ in range(steps):
        point = moved.detach().requires_grad_()
        with torch.enable_grad():
            log_probs = g.log_probs(x.unsqueeze(1) + point.view_as(noise))
            (gradient,) = torch.autograd.grad(naive(log_probs, y).sum(), point)
        right = (log_probs.argmax(dim=2) == y.unsqueeze(1)).view(-1, 1, 1, 1)
        step = l2.unit(moved + step_size * l2.damped_unit(gradient)) * length
        # Once wrong, always wrong: a copy that stopped is not moved again.
        moved = torch.where(right, step, moved)
    return moved.view_as(noise)


@TRAINERS.register("reweighting")
@dataclass(frozen=True, kw_only=True)
class Reweighting(Trainer):
    """Raise the average certified radius by giving up hard images (Sun et al. 2025).

        Reweighting(since=60, drop_below=0.5, steps=3, step_size=0.25)

    since: epoch from which the three measures below are taken; before, it is Gaussian training.
    drop_below: images of which a smaller share of noisy copies is right at that epoch are never
        drawn again.
    dropping_copies: copies by which that is judged.
    every: epochs between two looks at how easy the others are, by which they are weighted.
    weighting_copies: copies by which that is judged.
    steps, step_size: of the search for noise that fools, as in ``noise_on_sphere``.

    loss = the mean cross-entropy of the copies, arXiv:2410.06895. The paper's point is that the
    average certified radius alone can be raised so: report accuracies beside it. Ours judges the
    plain images, theirs augmented ones. The weights are radii of Gaussian noise. ValueError for an
    attack, for other noise, or where all images are dropped.
    """

    num_noise: int = 4
    since: int = 60
    drop_below: float = 0.5
    dropping_copies: int = 100
    every: int = 10
    weighting_copies: int = 16
    steps: int = 3
    step_size: float = 0.25

    soft_labels: ClassVar[bool] = False
    warms_up: ClassVar[bool] = False
    searches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_no_attack(self)
        check_at_least_zero(self, "since", "steps")
        check_at_least_one(self, "dropping_copies", "every", "weighting_copies")
        check_above_zero(self, "step_size")
        check_range(self, "drop_below", lambda value: 0 <= value <= 1, "within [0, 1]")
        if not _weight(int(FLOOR * self.weighting_copies), self.weighting_copies) > 0:
            raise ValueError(
                "expected weighting_copies by which a share of 3/4 has a weight > 0, got "
                f"{self.weighting_copies}; take the published 16"
            )

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        return loss_of_one_copy(self)

    def unreached(self) -> list[str]:
        what = "no image was dropped, weighted or attacked"
        return [*super().unreached(), *never_came(self, "since", what)]

    def check_noise(self, noise: NoiseDistribution) -> None:
        if not isinstance(noise, Gaussian):
            raise ValueError(
                f"expected Gaussian noise for {type(self).__name__}, whose weights are its radii "
                f"and whose noise is moved on its sphere, got {noise}; give sigma=0.25, say, or "
                "take another trainer"
            )

    def losses(self, batch: Batch) -> Tensor:
        noise = batch.noise
        if batch.progress >= self.since:
            noise = noise_on_sphere(
                batch.g, batch.x, batch.y, noise, step_size=self.step_size, steps=self.steps
            )
        return self.loss(batch.log_probs(batch.x.unsqueeze(1) + noise), batch.y)

    def sample_weights(self, start: EpochStart) -> Tensor | None:
        if start.progress < self.since:
            return None
        state = start.state
        if "kept" not in state:
            state["kept"] = _shares(start, self.dropping_copies) >= self.drop_below
            if not bool(state["kept"].any()):
                raise ValueError(
                    f"expected images of which a share of {self.drop_below:g} of the copies is "
                    f"right, got none at epoch {start.epoch}; lower drop_below or raise since"
                )
        if start.epoch >= state.get("next", 0):
            easy = easiness_weights(_shares(start, self.weighting_copies), self.weighting_copies)
            state["weights"], state["next"] = easy * state["kept"], start.epoch + self.every
        weights: Tensor = state["weights"]
        return weights


def _shares(start: EpochStart, copies: int) -> Tensor:
    """The share of each training image's noisy copies that are right: (N,)."""
    right = torch.zeros(start.count, dtype=torch.float64, device="cpu")
    for seen in start.images(copies=copies, batch_size=max(1, 1024 // copies)):
        votes = start.g.log_probs(seen.x.unsqueeze(1) + seen.noise).argmax(dim=2)
        right[seen.positions] = (votes == seen.y.unsqueeze(1)).double().mean(dim=1).cpu()
    return right
