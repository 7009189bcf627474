"""The l2 geometry that the attacks share.

All are pure functions of tensors (B, C, H, W), in which each image is one vector.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

Bounds = tuple[float, float]


def norms(v: Tensor) -> Tensor:
    """The l2 norm of each image: (B, C, H, W) -> (B, 1, 1, 1), so that it broadcasts."""
    length: Tensor = torch.linalg.vector_norm(v, dim=(1, 2, 3), keepdim=True)
    return length


def unit(v: Tensor, fallback: Tensor | None = None) -> Tensor:
    """Each image divided by its l2 norm.

    fallback: what a zero becomes, unit vectors that broadcast; None leaves it zero.

    Entries are scaled by the largest one first. Gradients of a confident classifier are so small
    that their squares underflow in float32. That must not pass for a zero gradient.
    """
    largest = v.abs().amax(dim=(1, 2, 3), keepdim=True)
    vanishes = largest == 0
    scaled = v / largest.masked_fill(vanishes, 1.0)
    direction = scaled / norms(scaled).masked_fill(vanishes, 1.0)
    return direction if fallback is None else torch.where(vanishes, fallback, direction)


def damped_unit(v: Tensor, tiny: float = 1e-8) -> Tensor:
    """Each image divided by its l2 norm plus ``tiny``, as published searches do.

    A gradient much shorter than ``tiny`` so moves nothing.
    """
    length = norms(v)
    return unit(v) * (length / (length + tiny))


def project(delta: Tensor, epsilon: float) -> Tensor:
    """The nearest point to ``delta`` in the l2 ball of radius ``epsilon``, for each image."""
    length = norms(delta)
    return torch.where(length > epsilon, unit(delta) * epsilon, delta)


def clamp_to_box(x: Tensor, delta: Tensor, bounds: Bounds | None) -> Tensor:
    """The nearest perturbation for which x + delta is within ``bounds``; None means no box."""
    return delta if bounds is None else (x + delta).clamp(*bounds) - x


def corner_distance(x: Tensor, bounds: Bounds | None) -> Tensor:
    """The norm of the largest perturbation that the box allows: (B, C, H, W) -> (B, 1, 1, 1).

    Without a box it is infinite.
    """
    if bounds is None:
        return x.new_full((len(x), 1, 1, 1), torch.inf)
    return norms(torch.maximum(x - bounds[0], bounds[1] - x))


def quantize(x: Tensor, levels: int, bounds: Bounds) -> Tensor:
    """Round to the nearest of ``levels`` evenly spaced values between the bounds.

    256 levels are those of 8-bit images.
    """
    return _from_levels(_to_levels(x, levels, bounds).round(), levels, bounds)


def quantize_within(
    x: Tensor, delta: Tensor, epsilon: float, levels: int, bounds: Bounds
) -> Tensor:
    """A perturbation of norm <= epsilon that puts x + delta on the grid of ``levels`` values.

    Where the nearest grid point of an image leaves the ball, it is rounded towards x instead. That
    can only shorten delta. A pixel of x off the grid may have no grid value between it and its
    target; then it stays as it is.
    """
    nearest = quantize(x + delta, levels, bounds) - x
    place = _to_levels(x + delta, levels, bounds)
    below = torch.maximum(_from_levels(place.floor(), levels, bounds), x)
    above = torch.minimum(_from_levels(place.ceil(), levels, bounds), x)
    inward = torch.where(delta > 0, below, above) - x
    return torch.where(norms(nearest) > epsilon, inward, nearest)


def _to_levels(x: Tensor, levels: int, bounds: Bounds) -> Tensor:
    return (x - bounds[0]) / (bounds[1] - bounds[0]) * (levels - 1)


def _from_levels(place: Tensor, levels: int, bounds: Bounds) -> Tensor:
    return place / (levels - 1) * (bounds[1] - bounds[0]) + bounds[0]


def uniform_in_ball(like: Tensor, epsilon: float, generator: torch.Generator | None) -> Tensor:
    """Perturbations drawn uniformly from the l2 ball.

    The direction is Gaussian, the length epsilon * u^(1/d) for d pixels and u uniform in [0, 1).
    """
    device = generator.device if generator is not None else like.device
    gaussian = torch.randn(like.shape, generator=generator, device=device, dtype=like.dtype).to(
        like.device
    )
    u = torch.rand((len(like), 1, 1, 1), generator=generator, device=device, dtype=like.dtype).to(
        like.device
    )
    return unit(gaussian) * (epsilon * u ** (1.0 / like[0].numel()))


def plateau_direction(like: Tensor) -> Tensor:
    """The unit vector (1, C, H, W) that replaces a gradient that vanishes: random, always the same.

    It is drawn from a fixed seed on the CPU. So a result depends on no other image of the batch, on
    no device, and on nobody's generator. It is kept, so that no attack copies it to the device.
    """
    return _plateau_direction(like.shape[1:], like.device, like.dtype)


@lru_cache(maxsize=8)
def _plateau_direction(shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    gaussian = torch.randn((1, *shape), generator=generator, dtype=torch.float64, device="cpu")
    return unit(gaussian).to(device=device, dtype=dtype)
