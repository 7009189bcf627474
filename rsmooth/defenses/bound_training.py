"""What methods for deterministic l-infinity certificates share: they learn a worst case.

It is the worst case that a bound allows. They train a classifier without noise, since what they
certify is the base classifier itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rsmooth.bounds.interval import pixel_box
from rsmooth.bounds.margins import margin_bounds
from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import BoundedPass, worst_case_logits
from rsmooth.defenses.interval_regularizers import balance_penalty, tightness_penalty
from rsmooth.defenses.trainer import Trainer
from rsmooth.models.precision import Precision
from rsmooth.models.state import dtype_of
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.plumbing.errors import remedy
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.batch import Batch
from rsmooth.training.options import check_at_least_zero
from rsmooth.training.schedules import between


@dataclass(frozen=True, kw_only=True)
class BoundTraining(Trainer):
    """What methods for deterministic certificates share; ``margins`` says which bound they learn.

        class Mine(BoundTraining):
            def margins(self, done, batch, share):
                return done.margins(batch.y, "ibp")

    epsilon: largest l-infinity norm of the perturbations that training is to cover, > 0, in [0, 1]
        pixel units. It grows as ``warmup_from``, ``warmup_epochs`` and ``warmup_per`` say.
    kappa_start, kappa_end: weight of the clean loss at epsilon 0 and at the full epsilon, in
        [0, 1]; that of the worst case is 1 - kappa.
    clip_box: whether perturbed pixels stay in [0, 1].
    regularizer_weight, regularizer_tolerance: of the penalties of fast IBP while epsilon grows; see
        ``tightness_penalty`` and ``balance_penalty``.
    l1_weight: of the sum of the absolute weights of convolutions and linear layers, >= 0.
    certified_images: how many validation images, the first ones, are certified after each epoch
        once epsilon is full. The best model is the one with the most.

    loss = kappa L(z, y) + (1 - kappa) L(-m, y), where z are the clean logits and m the lower bounds
    of z_y - z_k over the box around the image. Both come from one pass with one batch norm. All is
    in the float32 or float64 of the weights, without attack and without noise. ValueError for what
    contradicts that, and for an epsilon that would not be full at the end.
    """

    epsilon: float
    kappa_start: float = 0.0
    kappa_end: float = 0.0
    clip_box: bool = True
    regularizer_weight: float = 0.0
    regularizer_tolerance: float = 0.5
    l1_weight: float = 0.0
    certified_images: int = 500  # type: ignore[misc]
    precision: Precision = "float32"

    soft_labels: ClassVar[bool] = False
    without_noise: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ("certified_accuracy", "bound_loss", "kappa")
    # The bound by which validation images are certified.
    certifies_by: ClassVar[Method] = "ibp"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.epsilon < math.inf:
            raise ValueError(
                f"expected a finite epsilon > 0 in [0,1] pixel units, got {self.epsilon!r}"
            )
        check_shares(self, "kappa_start", "kappa_end")
        check_at_least_zero(self, "regularizer_weight", "l1_weight", "certified_images")
        if not 0 < self.regularizer_tolerance <= 1:
            raise ValueError(
                f"expected regularizer_tolerance in (0, 1], got {self.regularizer_tolerance!r}"
            )
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                "expected warmup_epochs <= epochs, so that training ends at the full epsilon, got "
                f"{self.warmup_epochs} and {self.epochs}; {self._shorter()}"
            )
        self._check_plain()

    def _check_plain(self) -> None:
        """ValueError for options of a training under noise."""
        for name, allowed, why in (
            ("attack", None, "bounds cover all perturbations"),
            ("num_noise", 1, "there is no noise to copy"),
            ("precision", "float32", "bounds are not sound in fewer bits"),
            ("compile", False, "bounds are computed layer by layer"),
            ("train_loss", "naive", "the loss is that of the bounds"),
        ):
            if getattr(self, name) != allowed:
                raise ValueError(
                    f"expected {name}={allowed!r} for {type(self).__name__}, since {why}, got "
                    f"{getattr(self, name)!r}; leave it out"
                )

    def _shorter(self) -> str:
        half = max(self.epochs // 2, 1)
        return remedy(
            f"give warmup_epochs={half} beside epochs={self.epochs}",
            f"give --trainer.warmup_epochs {half} beside --trainer.epochs {self.epochs}",
        )

    def check_noise(self, noise: NoiseDistribution) -> None:
        if noise.scale_value > 0:
            raise ValueError(
                f"expected a classifier without noise for {type(self).__name__}, got {noise}; "
                "certificates by bounds are of the base classifier, so take sigma=0"
            )

    def check_base(self, base: nn.Module) -> None:
        kinds = {own.dtype for own in base.parameters() if own.is_floating_point()}
        if len(kinds) != 1 or not kinds <= {torch.float32, torch.float64}:
            raise ValueError(
                f"expected a base classifier for {type(self).__name__} whose weights are all "
                "float32 or all float64, in which bounds are computed, got "
                f"{', '.join(sorted(map(str, kinds)))}; convert it by g.float()"
            )

    def epsilon_at(self, progress: float) -> float:
        return self.grown(self.epsilon, progress)

    def bounds(self, batch: Batch, epsilon: float) -> BoundedPass:
        """The clean pass and the intervals that the loss is made of. Here: of the whole box."""
        return batch.bounds(pixel_box(batch.x, epsilon, self.box_ends))

    def margins(self, done: BoundedPass, batch: Batch, share: float) -> Tensor:
        """The lower bounds (B, K) to learn; share: of the full epsilon, in [0, 1]."""
        return done.margins(batch.y, "ibp")

    def fit_losses(self, done: BoundedPass, batch: Batch, share: float) -> Tensor:
        """The loss (B,) that kappa weighs. Here: the cross-entropy of the clean logits."""
        return cross_entropy(done.logits, batch.y, reduction="none")

    def losses(self, batch: Batch) -> Tensor:
        epsilon = self.epsilon_at(batch.progress)
        share = epsilon / self.epsilon
        done = self.bounds(batch, epsilon)
        margins = self.margins(done, batch, share)
        bound_loss = cross_entropy(worst_case_logits(margins), batch.y, reduction="none")
        kappa = between(self.kappa_start, self.kappa_end, share)
        loss = (1 - kappa) * bound_loss
        if kappa:
            loss = loss + kappa * self.fit_losses(done, batch, share)
        batch.note(bound_loss=bound_loss, certified_accuracy=proven(margins, batch.y), kappa=kappa)
        return loss + self._penalty(done, batch, share)

    def certified(self, g: SmoothedClassifier, x: Tensor, y: Tensor) -> Tensor:
        x = x.to(dtype_of(g.base, x.dtype))
        return proven(BoundTraining.margins_of(self, g.base, x, y), y)

    def margins_of(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The margins (B, K) at the full epsilon by which images are left to later stages.

        Here: those that certify validation images.
        """
        return margin_bounds(
            net, x, y, epsilon=self.epsilon, method=self.certifies_by, clip=self.box_ends
        )

    @property
    def box_ends(self) -> tuple[float, float] | None:
        """The ends of pixel values, or None for a box that may leave them."""
        return (0.0, 1.0) if self.clip_box else None

    def _penalty(self, done: BoundedPass, batch: Batch, share: float) -> Tensor | float:
        penalty: Tensor | float = 0.0
        weight = self.regularizer_weight * (1 - share)
        if weight > 0:
            inputs, tolerance = list(done.pre_activations.values()), self.regularizer_tolerance
            penalty = weight * (
                tightness_penalty(done.box, inputs, tolerance=tolerance)
                + balance_penalty(inputs, tolerance=tolerance)
            )
        if self.l1_weight > 0:
            weights = [own.abs().sum() for own in batch.module.parameters() if own.ndim > 1]
            penalty = penalty + self.l1_weight * torch.stack(weights).sum()
        return penalty


def proven(margins: Tensor, y: Tensor) -> Tensor:
    """Whether all margins but that of the label itself are > 0: (B, K), (B,) -> (B,).

    proven(margin_bounds(net, x, y, epsilon=2 / 255), y)
    """
    own = torch.arange(margins.shape[1], device=y.device) == y.unsqueeze(1)
    return ((margins > 0) | own).all(dim=1)


def check_shares(trainer: BoundTraining, *names: str) -> None:
    """ValueError unless each of these options is within [0, 1]."""
    for name in names:
        if not 0 <= getattr(trainer, name) <= 1:
            raise ValueError(f"expected {name} in [0, 1], got {getattr(trainer, name)!r}")
