"""What an attack is given and what it answers, checked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Real

from torch import Tensor

from rsmooth.attacks.l2 import Bounds


def check_steps(steps: int) -> None:
    """The number of steps of a search; ValueError unless >= 1."""
    if steps < 1:
        raise ValueError(f"expected whole steps >= 1, got {steps}")


def warn_without_gradient(count: int, images: int, *, stacklevel: int) -> None:
    """Warn where an attack found no gradient to follow for ``count`` of the images."""
    if count:
        warnings.warn(
            f"the gradient was zero at every step for {count} of {images} images: there the attack "
            "has measured nothing. Look for rounding, thresholds or argmax within the model, or "
            "use an attack that needs no gradient",
            stacklevel=stacklevel,
        )


def check_bounds(bounds: Bounds | None) -> None:
    if bounds is None:
        return
    pair = isinstance(bounds, Sequence) and [isinstance(end, Real) for end in bounds]
    if pair != [True, True] or not bounds[0] < bounds[1]:
        raise ValueError(
            f"expected bounds (low, high) with low < high, or None for no box, got {bounds!r}"
        )


def check_noise_values(noise: Tensor) -> None:
    if not bool(noise.isfinite().all()):
        raise ValueError("expected finite noise, got NaN or infinity in it")


def check_finite(x_adv: Tensor) -> None:
    broken = (~x_adv.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
    if broken:
        raise ValueError(
            "expected finite logits and gradients from the base classifier, got NaN or infinity "
            f"for images {broken[:8]} of the batch ({len(broken)} of {len(x_adv)}); look at its "
            "weights: training may have diverged, or an attack of another library has asked about "
            "images with NaN"
        )
