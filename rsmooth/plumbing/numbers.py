"""Checks of numbers from users; each error says what was expected and what to do."""

from __future__ import annotations

import math
import operator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import SupportsIndex


def rounded_down(value: float, digits: int, *, times: int = 1) -> str:
    """For what is proved: as many digits, and never more than the value.

    rounded_down(0.20858, 3)                # "0.208"
    rounded_down(0.57, 1, times=100)        # "57.0", in percent
    """
    return _rounded(value, digits, ROUND_FLOOR, times)


def rounded_up(value: float, digits: int) -> str:
    """For what has to be proved: as many digits, and never less than the value.

    rounded_up(0.43471, 4)        # "0.4348"
    """
    return _rounded(value, digits, ROUND_CEILING)


def _rounded(value: float, digits: int, rounding: str, times: int = 1) -> str:
    """In decimals: a product of floats would be rounded first, and 0.3 is meant to be 0.3."""
    if not math.isfinite(value):
        return f"{value:.{digits}f}"
    exact = Decimal(repr(float(value))) * times
    return str(exact.quantize(Decimal(1).scaleb(-digits), rounding=rounding))


def check_sigma(sigma: float, *, allow_zero: bool = False) -> float:
    """Sigma as a finite float > 0 (or >= 0); ValueError otherwise."""
    value = float(sigma)
    if not math.isfinite(value) or value < 0 or (value == 0 and not allow_zero):
        raise ValueError(
            f"expected a finite sigma > 0 in [0,1] pixel units, got {sigma!r}; give it e.g. as 0.25"
        )
    return value


def check_scale(value: float, name: str) -> float:
    """The scale of noise as a finite float >= 0; ValueError, naming it, otherwise."""
    scale = float(value)
    if not math.isfinite(scale) or scale < 0:
        raise ValueError(
            f"expected a finite {name} > 0 in [0,1] pixel units, got {value!r}; give it e.g. as "
            "0.25"
        )
    return scale


def check_alpha(alpha: float) -> float:
    """The failure probability as a float in (0, 1); ValueError otherwise."""
    value = float(alpha)
    if not 0.0 < value < 1.0:
        raise ValueError(
            f"expected a failure probability alpha in (0, 1), got {alpha!r}; 0.001 is customary"
        )
    return value


def check_radius(radius: float) -> float:
    """A radius as a finite float >= 0; ValueError otherwise."""
    value = float(radius)
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"expected a finite radius >= 0 in [0,1] pixel units, got {radius!r}")
    return value


def check_integer(value: SupportsIndex, name: str, example: int = 0) -> int:
    """The value as an int; ValueError, naming it, for a bool, a float or a text.

    example: a usual value, for the message.

    A seed of 0.5, rounded, would be that of the noise of 0, and the same votes would count twice.
    """
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise ValueError(f"expected an integer {name}, got {value!r}; give it e.g. as {example}")


def check_seed(seed: SupportsIndex) -> int:
    """The seed of one of torch's generators as an int; ValueError unless 64 bits hold it."""
    value = check_integer(seed, "seed")
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"expected a seed of 64 bits, got {value}; give it e.g. as 0")
    return value


def check_sizes(**sizes: SupportsIndex) -> None:
    """ValueError, naming it, for a size that is no integer >= 1."""
    for name, value in sizes.items():
        if check_integer(value, name) < 1:
            raise ValueError(f"expected {name} >= 1, got {value}")
