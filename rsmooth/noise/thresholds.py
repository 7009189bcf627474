"""The 64-bit thresholds that turn a uniform integer into rounded noise, exact to the last bit.

k = round(255 e) is at most j with probability P(e <= (j + 1/2) / 255). Let T_j = nint(2^64 P(e <=
(j + 1/2) / 255)). The number of T_j that do not exceed a uniform 64-bit integer has the
distribution of k, up to the rounding of the T_j. All arithmetic is on integers and on decimals of
60 digits.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

BITS = 256  # probabilities are integers in units of 2^-256
# Far more than the error of any upper tail below (the tests compare them with mpmath).
SLACK = 2 ** (BITS - 130)
# By how many bits the 64 bits of a threshold are above the last bit of a probability.
STEP = BITS - 64
DIGITS = Context(prec=60)
PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803"
)
SQRT_TWO_PI = DIGITS.sqrt(DIGITS.multiply(PI, Decimal(2)))
LARGEST_NOISE = 2**15 - 1 - 255  # a pixel plus the noise has to stay within int16


@dataclass(frozen=True)
class Thresholds:
    """How words become noise: k is ``lowest`` plus the number of ``values`` that a word reaches.

        Gaussian(0.25).thresholds().values

    values: uint64, ascending, all within 1..2^64-1.
    total_variation: rigorous upper bound, per pixel, on the distance between the sampled and the
        ideal distribution.
    """

    values: npt.NDArray[np.uint64]
    lowest: int
    total_variation: Fraction

    def fingerprint(self) -> str:
        """SHA-256 of the thresholds, for the record: 16 hex digits."""
        return hashlib.sha256(
            f"{self.lowest}|".encode() + self.values.astype("<u8").tobytes()
        ).hexdigest()[:16]


class Rounded(Protocol):
    """The part of a distribution that decides its rounding: hashable, with scale and tail."""

    @property
    def decimal(self) -> Decimal: ...

    def upper_tail(self, x: Fraction) -> int: ...

    def __hash__(self) -> int: ...


def decimal_scale(scale: float | str, name: str) -> Decimal:
    """A scale as the decimal number that it prints as, so that 0.1 means 1/10.

    ValueError unless it is finite and > 0.
    """
    try:
        value = Decimal(scale.strip() if isinstance(scale, str) else repr(float(scale)))
    except InvalidOperation:
        raise ValueError(
            f"expected {name} as a decimal number, got {scale!r}; give it e.g. as 0.25"
        ) from None
    if not (value.is_finite() and value > 0):
        raise ValueError(
            f"expected a finite {name} > 0 in [0,1] pixel units, got {scale!r}; give it e.g. as "
            "0.25"
        )
    return value.normalize()


@lru_cache(maxsize=64)
def thresholds(noise: Rounded) -> Thresholds:
    """The thresholds of a distribution on the grid of 1/255; ValueError if it would leave int16."""
    upper: list[int] = []  # nint(2^64 P(K > j)) for j = 0, 1, ... while it is not 0
    errors: list[int] = []  # what the rounding added to each P(K > j)
    if _nearest(_tail(noise, LARGEST_NOISE)):
        raise ValueError(
            f"expected noise of at most {LARGEST_NOISE} levels of 1/255, which 16 bits hold, "
            f"got more from {noise}; make it smaller (it is in [0,1] pixel units)"
        )
    while count := _nearest(tail := _tail(noise, len(upper))):
        upper.append(count)
        errors.append((count << STEP) - tail)
    # By symmetry P(K <= -j-1) = P(K > j); the two halves join between k = -1 and k = 0.
    values = np.array(upper[::-1] + [2**64 - count for count in upper], dtype=np.uint64)
    return Thresholds(values, -len(upper), _total_variation(errors, tail))


def _tail(noise: Rounded, level: int) -> int:
    """P(K > level) in units of 2^-BITS."""
    return noise.upper_tail(Fraction(2 * level + 1, 510) / Fraction(noise.decimal))


def _nearest(tail: int) -> int:
    """nint(2^64 P); ArithmeticError for a tie within the error of the computation."""
    count = (tail + (1 << (STEP - 1))) >> STEP
    if abs(abs(tail - (count << STEP)) - (1 << (STEP - 1))) <= SLACK:
        raise ArithmeticError(
            "expected a threshold that is no tie, got one too close to call; change sigma slightly"
        )
    return count


def _total_variation(errors: list[int], lost: int) -> Fraction:
    """Half the sum over all cells of |sampled - ideal|, plus the slack of the computation.

    errors: of the upper tail at j = 0, 1, ... The error of a cell is the difference of two of them.
    lost: the first tail that was rounded to zero. The cells beyond it are lost as a whole, and the
        cell before it gains them.
    """
    slack = 4 * (len(errors) + 2) * SLACK
    if not errors:  # sigma so small that k is always 0
        return Fraction(2 * lost + slack, 2**BITS)
    one_side = sum(abs(a - b) for a, b in pairwise(errors)) + abs(errors[-1] + lost) + lost
    # The cell k = 0 has twice the error of the first tail, and half of it counts.
    return Fraction(abs(errors[0]) + one_side + slack, 2**BITS)


def gaussian_tail(x: Fraction) -> int:
    """1 - Phi(x) for x >= 0 in units of 2^-BITS, with an error below ``SLACK``.

    Phi(x) = 1/2 + phi(x) (x + x^3/3 + x^5/(3 5) + ...), a series of positive terms (Abramowitz and
    Stegun 26.2.11).
    """
    if x > 14:
        return 0  # 1 - Phi(14) < 2^-146
    square = math.floor(x * x * (1 << BITS))
    term = total = math.floor(x * (1 << BITS))
    odd = 1
    while term:
        odd += 2
        term = (term * square >> BITS) // odd
        total += term
    exponent = DIGITS.divide(Decimal(-square), Decimal(1 << BITS + 1))
    density = DIGITS.divide(DIGITS.exp(exponent), SQRT_TWO_PI)
    # With twice the bits, since the sum is large where the density is small.
    fine = int(DIGITS.multiply(density, Decimal(1 << 2 * BITS)))
    return (1 << BITS - 1) - (fine * total >> 2 * BITS)


def exponential_tail(x: Fraction) -> int:
    """exp(-x) for x >= 0 in units of 2^-BITS, with an error below ``SLACK``."""
    if x > 104:
        return 0  # exp(-104) < 2^-150
    power = DIGITS.divide(Decimal(-x.numerator), Decimal(x.denominator))
    return int(DIGITS.multiply(DIGITS.exp(power), Decimal(1 << BITS)))
