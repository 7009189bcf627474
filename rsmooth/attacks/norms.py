"""Norms of perturbations, measured and compared with epsilon."""

from __future__ import annotations

import torch
from torch import Tensor


def order_of(norm: str) -> float:
    """The p of a norm by its name: 2.0 for "l2", infinity for "linf", 0.0 for "l0".

    ValueError for a name that is no norm.
    """
    try:
        order = float(norm.removeprefix("l")) if norm.startswith("l") else -1.0
    except ValueError:
        order = -1.0
    if not order >= 0:
        raise ValueError(f"expected the name of a norm such as l1, l2 or linf, got {norm!r}")
    return order


def norm_of(delta: Tensor, norm: str) -> Tensor:
    """The norm of each perturbation, summed in float64: (B, C, H, W) -> (B,).

    norm_of(x_adv - x, "linf")
    """
    length: Tensor = torch.linalg.vector_norm(
        delta.flatten(1), ord=order_of(norm), dim=1, dtype=torch.float64
    )
    return length


def rounding(x_adv: Tensor, epsilon: float, norm: str) -> Tensor:
    """By how much a perturbation of norm epsilon may seem longer, in the number format: (B,).

    An entry of x + delta is off by half a unit in its last place, and an attack scales by epsilon
    with a few more. None of l0 is allowed: rounding changes no entry that the attack leaves alone.
    """
    order, unit = order_of(norm), torch.finfo(x_adv.dtype).eps
    if order == 0:
        return x_adv.new_zeros(len(x_adv), dtype=torch.float64)
    entries = x_adv[0].numel() ** (1.0 / order)
    largest: Tensor = x_adv.flatten(1).abs().amax(dim=1).double()
    allowed: Tensor = unit * (largest * entries + 16 * epsilon)
    return allowed
