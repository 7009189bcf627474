"""What keeps intervals narrow and ReLUs alive in the first epochs of certified training.

Shi et al. 2021 (arXiv:2103.17268). Both are of a mini-batch, not of an image.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from rsmooth.bounds.interval import Interval

# Below, a ratio would say nothing.
SMALLEST = 1e-12


def tightness_penalty(
    box: Interval, pre_activations: Iterable[Interval], *, tolerance: float
) -> Tensor:
    """How far intervals have widened from the images to the ReLUs: a number.

        tightness_penalty(done.box, done.pre_activations.values(), tolerance=0.5)

    box: of the images. pre_activations: the bounds of the input of each ReLU.
    tolerance: in (0, 1]. A layer costs nothing while its mean radius is at most that of the images
        divided by it.

    The mean over layers of max(tolerance - r_0 / r_i, 0) / tolerance.
    """
    first = box.radius.mean()
    shares = [first / z.radius.mean().clamp(min=SMALLEST) for z in pre_activations]
    return _shortfall(shares, tolerance).mean()


def balance_penalty(pre_activations: Iterable[Interval], *, tolerance: float) -> Tensor:
    """How unevenly ReLUs are surely active and surely inactive: a number.

        balance_penalty(done.pre_activations.values(), tolerance=0.5)

    pre_activations: the bounds of the input of each ReLU. tolerance: in (0, 1].

    Of each layer the centres of active and of inactive neurons are compared, by the sums of their
    sizes and by those of their squared distances from the mean centre. A ratio, smaller over
    larger, costs max(tolerance - ratio, 0) / tolerance; the penalty is the mean over layers.
    A layer without stable neurons costs nothing, for want of a gradient.
    """
    shares, spreads = [], []
    for z in pre_activations:
        active, inactive = (z.lower > 0).to(z.lower.dtype), (z.upper < 0).to(z.lower.dtype)
        spread = (z.center - z.center.mean()).square()
        shares.append(_ratio((z.center * active).mean(), -(z.center * inactive).mean()))
        spreads.append(_ratio((spread * active).sum(), (spread * inactive).sum()))
    return _shortfall(shares, tolerance).mean() + _shortfall(spreads, tolerance).mean()


def _ratio(one: Tensor, other: Tensor) -> Tensor:
    """The smaller of two numbers >= 0 over the larger; 1 where both are 0."""
    larger = torch.maximum(one, other)
    return torch.where(
        larger > 0, torch.minimum(one, other) / larger.clamp(min=SMALLEST), torch.ones_like(larger)
    )


def _shortfall(shares: list[Tensor], tolerance: float) -> Tensor:
    return (tolerance - torch.stack(shares)).relu() / tolerance
