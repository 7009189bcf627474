"""The 64-bit thresholds that turn a uniform integer into a rounded Gaussian, exact to the last bit.

k = round(255 e) with e ~ N(0, sigma^2) is at most j with probability Phi((j + 1/2) / (255 sigma));
so the number of thresholds T_j = nint(2^64 Phi((j + 1/2) / (255 sigma))) that do not exceed a
uniform 64-bit integer has k's distribution up to the rounding of the T_j. All arithmetic is on
integers and on decimals of 60 digits.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

BITS = 256  # probabilities are integers in units of 2^-256
SLACK = 2 ** (
    BITS - 130
)  # far more than the error of any upper tail below (the tests compare it with mpmath)
STEP = BITS - 64  # how far the 64 bits of a threshold stand above the last bit of a probability
DIGITS = Context(prec=60)
PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803"
)
SQRT_TWO_PI = DIGITS.sqrt(DIGITS.multiply(PI, Decimal(2)))
LARGEST_SIGMA = (
    13  # the noise reaches 9.2 * 255 * sigma; a pixel plus the noise has to stay within int16
)


@dataclass(frozen=True)
class Thresholds:
    """values: uint64, ascending, all within 1..2^64-1; lowest: k of a word below all of them, each
    threshold adds 1.

    total_variation: rigorous upper bound for one pixel between the sampled and the ideal
    distribution.
    """

    values: npt.NDArray[np.uint64]
    lowest: int
    total_variation: Fraction

    def fingerprint(self) -> str:
        """SHA-256 of the thresholds, for the record: 16 hex digits."""
        return hashlib.sha256(
            f"{self.lowest}|".encode() + self.values.astype("<u8").tobytes()
        ).hexdigest()[:16]


def decimal_sigma(sigma: float | str) -> Decimal:
    """Sigma as the decimal number that it prints as, so that 0.1 means 1/10; ValueError unless
    finite and > 0.
    """
    try:
        value = Decimal(sigma.strip() if isinstance(sigma, str) else repr(float(sigma)))
    except InvalidOperation:
        raise ValueError(
            f"expected sigma as a decimal number, got {sigma!r}; give it e.g. as 0.25"
        ) from None
    if not (value.is_finite() and value > 0):
        raise ValueError(
            f"expected a finite sigma > 0 in [0,1] pixel units, got {sigma!r}; give it e.g. as 0.25"
        )
    return value.normalize()


@lru_cache(maxsize=64)
def thresholds(sigma: Decimal) -> Thresholds:
    """The thresholds of N(0, sigma^2) on the grid of 1/255; ValueError if the noise would leave
    int16.
    """
    if sigma > LARGEST_SIGMA:
        raise ValueError(
            f"expected sigma up to {LARGEST_SIGMA} (the noise is held in 16 bits), got {sigma}; "
            "sigma is "
            "in [0,1] pixel units"
        )
    upper: list[int] = []  # nint(2^64 P(K > j)) for j = 0, 1, ... while it is not 0
    errors: list[int] = []  # what the rounding added to each P(K > j)
    while True:
        tail = upper_tail(Fraction(2 * len(upper) + 1, 510) / Fraction(sigma))
        count = _nearest(tail)
        if count == 0:
            break
        upper.append(count)
        errors.append((count << STEP) - tail)
    # By symmetry P(K <= -j-1) = P(K > j); the two halves join between k = -1 and k = 0.
    values = np.array(upper[::-1] + [2**64 - count for count in upper], dtype=np.uint64)
    return Thresholds(values, -len(upper), _total_variation(errors, tail))


def _nearest(tail: int) -> int:
    """nint(2^64 P); an uncertain one (a tie within the error of the computation) raises
    ArithmeticError.
    """
    count = (tail + (1 << (STEP - 1))) >> STEP
    if abs(abs(tail - (count << STEP)) - (1 << (STEP - 1))) <= SLACK:
        raise ArithmeticError(
            "expected a threshold that is no tie, got one too close to call; change sigma slightly"
        )
    return count


def _total_variation(errors: list[int], lost: int) -> Fraction:
    """Half the sum over all cells of |sampled - ideal|, plus the slack of the computation.

    errors: of the upper tail at j = 0, 1, ...; a cell's error is the difference of two of them.
    lost: the first tail that was rounded to zero; the cells beyond it are lost whole, and the cell
    before it gains them.
    """
    slack = 4 * (len(errors) + 2) * SLACK
    if not errors:  # sigma so small that k is always 0
        return Fraction(2 * lost + slack, 2**BITS)
    one_side = sum(abs(a - b) for a, b in pairwise(errors)) + abs(errors[-1] + lost) + lost
    return Fraction(
        abs(errors[0]) + one_side + slack, 2**BITS
    )  # the cell k = 0 has twice the error of the first tail


def upper_tail(x: Fraction) -> int:
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
    fine = int(
        DIGITS.multiply(density, Decimal(1 << 2 * BITS))
    )  # the sum is large where the density is small
    return (1 << BITS - 1) - (fine * total >> 2 * BITS)
