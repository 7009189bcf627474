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
    except (AttributeError, ValueError):  # a number, as other libraries take it
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


def drawn_within(x_adv: Tensor, x: Tensor, epsilon: float, norm: str) -> Tensor:
    """Attacked images with perturbations of at most epsilon, in float64 and in their own format.

        drawn_within(x_adv, x, 8 / 255, "linf")    # (x_adv - x).abs().max() <= 8 / 255

    x_adv, x: (B, C, H, W). x_adv is beyond epsilon by ``rounding`` at most.

    Nothing that is within is changed. What is beyond is moved towards x, so it stays in every box
    that x is in. Left as it is: l0, to which rounding adds nothing, and float16 and bfloat16 beside
    linf, whose numbers are so far apart that most of a perturbation would go.
    """
    half = torch.finfo(x_adv.dtype).bits == 16
    if order_of(norm) == 0 or (half and norm != "linf"):
        return x_adv
    x = x.to(x_adv.dtype)
    exact = x_adv.double() - x.double()
    wanted = _shorter(exact, epsilon, norm, x_adv.dtype)
    near = (x.double() + wanted).to(x_adv.dtype)
    # Rounding may lead outward once more. Then the pixel goes one number of its format back.
    outward = (near.double() - x.double()).abs() > wanted.abs()
    near = torch.where(outward, _next_towards(near, x), near)
    return torch.where(wanted == exact, x_adv, near)


def _shorter(delta: Tensor, epsilon: float, norm: str, dtype: torch.dtype) -> Tensor:
    """Perturbations in float64 that are also within epsilon where ``dtype`` measures them."""
    if norm == "linf":
        largest = torch.tensor(epsilon, dtype=dtype, device="cpu")
        if float(largest) > epsilon:  # a difference of two pixels would be rounded to it
            largest = largest.nextafter(torch.zeros_like(largest))
        return delta.clamp(-float(largest), float(largest))
    # A sum of squares is off by a few units in its last place.
    limit, length = epsilon * (1 - 8 * torch.finfo(dtype).eps), norm_of(delta, norm)
    factor = torch.where(length > limit, limit / length.clamp(min=limit or 1.0), 1.0)
    return delta * factor.view(-1, *[1] * (delta.ndim - 1))


def _next_towards(x: Tensor, target: Tensor) -> Tensor:
    if x.dtype != torch.float16:
        return x.nextafter(target)
    return x.cpu().nextafter(target.cpu()).to(x.device)  # CUDA has none of float16
