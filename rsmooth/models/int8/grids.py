"""Grids of integers for real numbers: steps that are powers of two, so that no rounding hides.

A product or a sum of such grids is a shift. So what a network of them computes is integers, in any
order and on any machine. Jain et al. 2020 (arXiv:1903.08066), section 3, quantises so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LEVELS = 255  # the largest unsigned integer of 8 bits
# float32 holds all integers up to here, so sums below it are exact in any order.
EXACT = 2**24
EXACT_DOUBLE = 2**53  # likewise of float64
# Finer sums than 2^-15 of a step of the answer could round beside a zero point of up to 255.
FINEST = 15


class Grid(NamedTuple):
    """Unsigned integers of 8 bits that stand for numbers: (q - zero) 2^exponent.

    Grid(exponent=-4, zero=0)    # 0, 1/16, ..., 255/16
    """

    exponent: int
    zero: int

    def nearest(self, values: Tensor) -> Tensor:
        """The values as far as the grid has them: the nearest number on it."""
        step = 2.0**self.exponent
        return ((values / step + self.zero).round().clamp(0, LEVELS) - self.zero) * step


def choose_grid(values: Tensor) -> Grid:
    """Of three grids the one on which these values lose least, in mean squares.

        choose_grid(activations)

    values: real numbers of any shape, not empty. ValueError where one is not finite.

    The widest of the three holds all values. The others cut the largest off, for finer steps.
    """
    low, high = (float(value) for value in torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"expected finite activations, got {low} to {high}; has training diverged?"
        )
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return Grid(0, 0)
    widest = math.ceil(math.log2((high - low) / LEVELS))
    zero = round(-low / (high - low) * LEVELS)
    grids = [Grid(widest - finer, zero) for finer in range(3)]
    return min(grids, key=lambda grid: float((grid.nearest(values) - values).square().mean()))


def round_weights(weight: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Integers (O, ...) within -levels..levels and the exponents (O,) of each row, both float64.

        integers, exponent = round_weights(convolution.weight, 127)

    A row is integers 2^exponent. Of two steps it gets the one that loses less, in mean squares.
    """
    rows = weight.double().flatten(1)
    most = rows.abs().amax(dim=1).clamp(min=2.0**-100)
    wide = torch.ceil(torch.log2(most / levels))
    losses = []
    for finer in (0, 1):
        step = torch.exp2(wide - finer)[:, None]
        losses.append(((rows / step).round().clamp(-levels, levels) * step - rows).square().sum(1))
    exponent = wide - (losses[1] < losses[0]).double()
    return at_exponent(weight, exponent, levels), exponent


def at_exponent(weight: Tensor, exponent: Tensor, levels: int) -> Tensor:
    """Rows of weights as integers times 2^exponent (O,), within -levels..levels, float64."""
    step = torch.exp2(exponent).view(-1, *[1] * (weight.ndim - 1))
    return (weight.double() / step).round().clamp(-levels, levels)


def rounded(numbers: Tensor, zero: int) -> Tensor:
    """Real numbers in steps of a grid as its integers: nearest, ties to even, cut at its ends."""
    return (numbers + zero).round_().clamp_(0, LEVELS)
