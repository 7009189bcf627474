"""How many samples, at which alpha and sigma, are behind the radii of a log.

The largest radius that n samples can certify is that of unanimous votes. It is one number for each
n, alpha and sigma (Cohen et al. 2019, arXiv:1902.02918, section 3.2.2). So is every smaller radius:
one for each number of votes. A setting fits a log if the largest of its radii, as it is printed, is
that number, and if all others are of its votes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from rsmooth.certify.proof.bounds import max_radius, radius_from_counts

SAMPLES = (100, 500, 1000, 2000, 4000, 5000, 10_000, 20_000, 50_000, 100_000, 1_000_000)
ALPHAS = (0.001, 0.01, 0.05, 0.1, 0.0005, 0.0001)
SIGMAS = (0.12, 0.25, 0.5, 0.75, 1.0, 2.0)
_COARSE = 20_000  # up to so many samples all radii are compared with those of the votes
_SLACK = 1e-9  # relative, of two ways to compute the same bound

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """n samples at alpha and sigma, and the largest radius that they certify."""

    n: int
    alpha: float
    sigma: float
    largest: float

    def __str__(self) -> str:
        return f"n={self.n:,}, alpha={self.alpha:g}, sigma={self.sigma:g}"


def precision(texts: Sequence[str]) -> tuple[int, int]:
    """The significant digits and the decimals that a column of numbers is printed with.

    precision(["0.378", "1.38", "0.0511"])      # (3, 4)
    """
    digits, decimals = 1, 0
    for text in texts:
        number = Decimal(text).as_tuple()
        exponent = int(number.exponent)
        if any(number.digits):
            digits = max(digits, len(number.digits))
        decimals = max(decimals, -exponent)
    return digits, decimals


def unit(values: Floats, printed: tuple[int, int]) -> Floats:
    """The last printed place of each of these numbers (N,), the coarser of the two precisions."""
    digits, decimals = printed
    size = np.floor(np.log10(np.maximum(values, 1e-300)))
    return np.maximum(10.0 ** (size - digits + 1), 10.0**-decimals)


def usual_settings(sigma: float | None = None) -> list[Setting]:
    """The settings that people publish, at one sigma or at all usual ones."""
    sigmas = SIGMAS if sigma is None else (sigma,)
    return [
        Setting(n, alpha, each, max_radius(each, n, alpha))
        for each in sigmas
        for n in SAMPLES
        for alpha in ALPHAS
        if 2.0 * 2.0**-n <= alpha
    ]


def top(radii: Floats) -> float:
    """The largest radius that several images have, which unanimous votes give; else the largest.

    A single one above it may be a slip of whoever wrote the file.
    """
    values, counts = np.unique(radii, return_counts=True)
    often = values[counts >= max(3, len(radii) // 200)]
    return float(often[-1] if len(often) and often[-1] > 0 else values[-1])


def fitting(radii: Floats, printed: tuple[int, int], sigma: float | None = None) -> list[Setting]:
    """The usual settings that fit radii (N,) as they are printed.

        fitting(log.radius, (3, 4), sigma=0.25)

    sigma: where it is known.
    """
    positive = radii[radii > 0]
    if not len(positive):
        return []
    highest = top(positive)
    place = float(unit(np.array([highest]), printed)[0])
    kept = [
        setting
        for setting in usual_settings(sigma)
        if _prints_as(np.array([setting.largest]), highest, place)
    ]
    below = np.unique(positive[positive < highest])
    return [each for each in kept if _of_votes(below, unit(below, printed), each)]


def impossible(radii: Floats, printed: tuple[int, int], largest: float) -> NDArray[np.intp]:
    """The rows whose radius exceeds the largest possible one by more than its printing explains."""
    places = unit(radii, printed)
    return np.flatnonzero(radii > largest * (1 + _SLACK) + places)


def sigma_of_path(path: str) -> float | None:
    """The sigma that a path names, as published logs do; None where it names none.

    sigma_of_path("models/noise_0.50/certify/sigma_0.5")       # 0.5
    """
    found = re.findall(r"(?:sigma|noise|noist)[_=-]?(\d+(?:\.\d+)?)", path)
    values = [float(each) for each in found if 0 < float(each) <= 10]
    return values[-1] if values else None


def _prints_as(computed: Floats, printed: float, place: float) -> bool:
    """Whether any computed radius prints as this one: rounded to nearest, or down."""
    low, high = printed - 0.5 * place * (1 + 1e-6), printed + place * (1 + 1e-6)
    slack = _SLACK * printed
    return bool(((computed >= low - slack) & (computed <= high + slack)).any())


def _of_votes(values: Floats, places: Floats, setting: Setting) -> bool:
    """Whether all radii are those of some number of votes, as they are printed."""
    if setting.n <= _COARSE:
        hits = np.arange(setting.n // 2, setting.n + 1)
    else:  # close below unanimity the radii are far apart; further down any number is one
        hits = np.arange(max(setting.n // 2, setting.n - 5000), setting.n + 1)
    grid = np.sort(radius_from_counts(hits, setting.n, setting.sigma, setting.alpha))
    looked = values >= grid[0] if setting.n > _COARSE else np.ones(len(values), dtype=bool)
    low = values - 0.5 * places * (1 + 1e-6) - _SLACK
    high = values + places * (1 + 1e-6) + _SLACK
    inside = np.searchsorted(grid, high, side="right") > np.searchsorted(grid, low, side="left")
    return bool(inside[looked].all())
