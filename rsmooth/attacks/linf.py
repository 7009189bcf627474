"""The l-infinity geometry of the attacks, under the names of the l2 geometry.

All are pure functions of tensors (B, C, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor

from rsmooth.attacks import l2


def unit(v: Tensor, fallback: Tensor | None = None) -> Tensor:
    """The steepest direction of l-infinity norm 1: the sign of each entry.

    fallback: what an image gets whose entries are all zero, which broadcasts; None leaves it zero.
    """
    direction = v.sign()
    if fallback is None:
        return direction
    vanishes = v.abs().amax(dim=(1, 2, 3), keepdim=True) == 0
    return torch.where(vanishes, fallback, direction)


def project(delta: Tensor, epsilon: float) -> Tensor:
    """The nearest point to ``delta`` in the l-infinity ball of radius ``epsilon``."""
    return delta.clamp(-epsilon, epsilon)


def uniform_in_ball(like: Tensor, epsilon: float, generator: torch.Generator | None) -> Tensor:
    """Perturbations whose entries are drawn uniformly from [-epsilon, epsilon)."""
    device = generator.device if generator is not None else like.device
    u = torch.rand(like.shape, generator=generator, device=device, dtype=like.dtype)
    return (2 * u.to(like.device) - 1) * epsilon


def plateau_direction(like: Tensor) -> Tensor:
    """The signs (1, C, H, W) that replace a gradient that vanishes; random, always the same."""
    return l2.plateau_direction(like).sign()
