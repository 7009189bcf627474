"""Confidence bounds on a vote share, and the radii that follow from them.

n noisy copies are voted on, ``successes`` of them for the class under test. All bounds are exact
one-sided Clopper-Pearson bounds (1934, as in Cohen et al. 2019, arXiv:1902.02918, sec. 3.2); radii
are never rounded up. Functions take integers or integer arrays (broadcast against each other) and
give a float or a float64 array.
"""

from __future__ import annotations

import math
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rsmooth.plumbing.numbers import check_alpha, check_radius, check_sigma

Count = int | np.integer[Any]
Counts = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

# betainccinv errs by less than 7e-12 relative up to n = 10^6, and by up to 1e-10, 1e-9 and 5e-9 at
# 10^7, 10^8 and 10^9 (checked against tails summed in extended precision); all of it at few misses,
# where a radius moves by a twentieth of that at most. The absolute part, in units of sigma, covers
# radii near zero, where 1 - 2q cancels.
RELATIVE_MARGIN = 1e-12
MARGIN_GROWS_FROM = 1_000_000
ABSOLUTE_MARGIN = 1e-12
SMALLEST_ALPHA = 1e-200  # betainccinv loses all digits somewhere below 1e-250


def check_counts(successes: Counts | Count, n: Counts | Count) -> tuple[Counts, Counts]:
    """Both as int64 arrays of one shape; ValueError unless they are integers with 0 <= successes <=
    n and n >= 1.
    """
    hits, total = np.asarray(successes), np.asarray(n)
    for name, values in (("successes", hits), ("n", total)):
        if values.dtype.kind not in "iu":
            raise ValueError(
                f"expected integer {name}, got {values.dtype}; hand over vote counts, not shares"
            )
    hits, total = np.broadcast_arrays(hits.astype(np.int64), total.astype(np.int64))
    if (total < 1).any() or (hits < 0).any() or (hits > total).any():
        raise ValueError(
            f"expected 0 <= successes <= n and n >= 1, got successes {_span(hits)} and n "
            f"{_span(total)}"
        )
    return hits, total


def check_total_variation(total_variation: float) -> float:
    """A sampler's distance from the ideal noise as a float in [0, 1/2); ValueError otherwise."""
    value = float(total_variation)
    if not 0.0 <= value < 0.5:
        raise ValueError(
            f"expected a total variation in [0, 0.5), got {total_variation!r}; use a finer noise "
            "sampler"
        )
    return value


def smallest_n(alpha: float) -> int:
    """Smallest n whose unanimous votes are significant at alpha in PREDICT's two-sided test, 2 *
    2^-n <= alpha.
    """
    return math.ceil(math.log2(2.0 / check_alpha(alpha)) - 1e-12)


def check_n(n: int, alpha: float) -> int:
    """The number of samples n; ValueError where even unanimous votes would not be significant at
    alpha.

    The bar is ``smallest_n``. CERTIFY's one-sided bound would pass one vote below it, with a radius
    next to nothing (at n=10, alpha=0.001: 0.003 sigma), so that one bar serves both.
    """
    if n < smallest_n(alpha):
        raise ValueError(
            f"expected n >= {smallest_n(alpha)} at alpha={alpha:g}, got n={n}; even unanimous "
            "votes would not be "
            "significant, so draw more samples or allow a larger alpha"
        )
    return n


@overload
def upper_confidence_bound(successes: Count, n: Count, alpha: float) -> float: ...
@overload
def upper_confidence_bound(successes: Counts, n: Counts | Count, alpha: float) -> Floats: ...
def upper_confidence_bound(
    successes: Counts | Count, n: Counts | Count, alpha: float
) -> float | Floats:
    """Largest p not refuted by so few successes: solves P(Bin(n, p) <= successes) = alpha; 1 at
    successes = n.

    Accurate to the last digits where the bound is small, so bounds near p = 1 are taken through the
    misses.
    """
    hits, total = check_counts(successes, n)
    return _float_if_scalar(_upper_bound(hits, total, check_alpha(alpha)))


@overload
def lower_confidence_bound(successes: Count, n: Count, alpha: float) -> float: ...
@overload
def lower_confidence_bound(successes: Counts, n: Counts | Count, alpha: float) -> Floats: ...
def lower_confidence_bound(
    successes: Counts | Count, n: Counts | Count, alpha: float
) -> float | Floats:
    """Smallest p not refuted by so many successes: solves P(Bin(n, p) >= successes) = alpha; 0 at
    successes = 0.
    """
    hits, total = check_counts(successes, n)
    return _float_if_scalar(1.0 - _upper_bound(total - hits, total, check_alpha(alpha)))


@overload
def radius_from_counts(
    successes: Count, n: Count, sigma: float, alpha: float, *, total_variation: float = 0.0
) -> float: ...
@overload
def radius_from_counts(
    successes: Counts,
    n: Counts | Count,
    sigma: float,
    alpha: float,
    *,
    total_variation: float = 0.0,
) -> Floats: ...
def radius_from_counts(
    successes: Counts | Count,
    n: Counts | Count,
    sigma: float,
    alpha: float,
    *,
    total_variation: float = 0.0,
) -> float | Floats:
    """Certified l2 radius sigma * Phi^-1(p_lower - total_variation), rounded down; 0.0 where p is
    not above 1/2.

    Cohen et al. 2019, theorem 1 with p_B = 1 - p_A. ``total_variation`` bounds how far the noise
    sampler is from the ideal Gaussian over a whole image; each vote share moves by no more than
    that.
    """
    hits, total = check_counts(successes, n)
    miss_rate = _upper_bound(total - hits, total, check_alpha(alpha)) + check_total_variation(
        total_variation
    )
    radius = -check_sigma(sigma) * special.ndtri(np.minimum(miss_rate, 0.5))
    relative = RELATIVE_MARGIN * np.maximum(total / MARGIN_GROWS_FROM, 1.0)
    return _float_if_scalar(
        np.maximum(radius * (1.0 - relative) - ABSOLUTE_MARGIN * max(sigma, 1.0), 0.0)
    )


def null_share(sigma: float, radius: float, *, total_variation: float = 0.0) -> float:
    """Phi(radius / sigma) + total_variation, rounded up: a class with a larger vote share holds
    within ``radius``.

    1.0 where no number of samples can show that.
    """
    miss_rate = float(special.ndtr(-check_radius(radius) / check_sigma(sigma))) * (
        1.0 - RELATIVE_MARGIN
    )
    miss_rate -= check_total_variation(total_variation)
    return math.nextafter(1.0 - miss_rate, 1.0) if miss_rate > 1e-15 else 1.0


def max_radius(sigma: float, n: int, alpha: float, *, total_variation: float = 0.0) -> float:
    """The largest radius that n samples can certify: that of unanimous votes."""
    return radius_from_counts(n, n, sigma, alpha, total_variation=total_variation)


def hits_needed(
    sigma: float, radius: float, n: int, alpha: float, *, total_variation: float = 0.0
) -> int | None:
    """Smallest number of hits among n that certifies ``radius`` (0: that does not abstain); None if
    even n do not.
    """
    wanted = check_radius(radius)

    def certifies(hits: int) -> bool:
        found = radius_from_counts(hits, n, sigma, alpha, total_variation=total_variation)
        return found > 0.0 and found >= wanted

    if not certifies(n):
        return None
    too_few, enough = 0, n
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if certifies(middle) else (middle, enough)
    return enough


def minimal_n(sigma: float, radius: float, alpha: float, *, total_variation: float = 0.0) -> int:
    """Smallest n that ``check_n`` passes and whose unanimous votes certify ``radius``; ValueError
    where no n does.
    """
    share = null_share(sigma, radius, total_variation=total_variation)
    if share == 1.0:
        raise ValueError(
            f"expected a radius that some n certifies, got {radius:g} at sigma={sigma:g} "
            f"(total variation of the noise sampler {total_variation:.1e}); use a larger sigma or "
            "a smaller radius"
        )
    n = max(smallest_n(alpha), math.floor(math.log(alpha) / math.log(share)) - 1)
    while max_radius(sigma, n, alpha, total_variation=total_variation) < radius:
        n += 1
    return n


@overload
def binomial_p_value(top: Count, second: Count) -> float: ...
@overload
def binomial_p_value(top: Counts, second: Counts) -> Floats: ...
def binomial_p_value(top: Counts | Count, second: Counts | Count) -> float | Floats:
    """Two-sided exact test that two classes with these counts are equally likely (PREDICT of Cohen
    et al. 2019).
    """
    first, other = np.broadcast_arrays(np.asarray(top), np.asarray(second))
    total = first + other
    check_counts(first, np.maximum(total, 1))
    larger = np.maximum(first, other)
    tail = special.betainc(
        np.maximum(larger, 1.0), total - larger + 1.0, 0.5
    )  # P(Bin(total, 1/2) >= larger)
    return _float_if_scalar(np.where(total == 0, 1.0, np.minimum(1.0, 2.0 * tail)))


def _upper_bound(hits: Counts, total: Counts, alpha: float) -> Floats:
    """``upper_confidence_bound`` of checked counts; ValueError for an alpha too small to be
    computed with.
    """
    if alpha < SMALLEST_ALPHA:
        raise ValueError(
            f"expected alpha >= {SMALLEST_ALPHA:g}, got {alpha!r}; bounds are not computed below "
            "that"
        )
    inner = np.where(
        (hits == 0) | (hits == total), 1, hits
    )  # a harmless argument where the two ends are set below
    bound = special.betainccinv(inner + 1.0, np.maximum(total - inner, 1.0), alpha)
    bound = np.where(hits == 0, -np.expm1(math.log(alpha) / total), bound)
    return np.where(hits == total, 1.0, bound)


def _float_if_scalar(values: NDArray[np.float64]) -> float | Floats:
    return float(values) if values.ndim == 0 else values


def _span(values: Counts) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}..{high}"
