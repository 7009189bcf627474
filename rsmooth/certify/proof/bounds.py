"""Confidence bounds on a vote share, and the radii that follow from them.

n noisy copies are voted on, ``successes`` of them for the class under test. All bounds are exact
one-sided Clopper-Pearson bounds (1934), as in Cohen et al. 2019 (arXiv:1902.02918), section 3.2.2.
Radii are never rounded up. The functions take integers or integer arrays, which are broadcast
against each other. They return a float or a float64 array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rsmooth.noise.distributions import RELATIVE_MARGIN, NoiseDistribution, as_noise
from rsmooth.plumbing.numbers import check_alpha, check_integer, check_radius

Count = int | np.integer[Any]
Counts = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Noise = NoiseDistribution | float  # a bare number is the sigma of Gaussian noise

# The relative error of betainccinv is below 7e-12 up to n = 10^6. It reaches 1e-10, 1e-9 and 5e-9
# at 10^7, 10^8 and 10^9 (compared with tails summed in extended precision). The large errors are
# all at few misses. There a radius moves by at most a twentieth of them under Gaussian noise, by a
# tenth under Laplace noise, and by next to nothing under uniform noise. So the margin grows with n.
MARGIN_GROWS_FROM = 1_000_000
# The errors are largest at alpha 0.2 to 0.5: three times those above.
LOOSE_ALPHA, LOOSE_FACTOR = 0.05, 8.0
# Of a bound itself, above all errors named here; those of betaincinv are the same.
BOUND_MARGIN = 2e-11
# From here on the margin takes the whole radius, so that more samples show nothing.
LARGEST_N = round(MARGIN_GROWS_FROM / RELATIVE_MARGIN)
# betainccinv loses all digits somewhere below 1e-250.
SMALLEST_ALPHA = 1e-200


def check_counts(successes: Counts | Count, n: Counts | Count) -> tuple[Counts, Counts]:
    """Both as int64 arrays of one shape, with 0 <= successes <= n and n >= 1.

    ValueError for other values, and for anything but integers.
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


def check_noise(noise: Noise) -> NoiseDistribution:
    """The noise as a distribution; a bare number is the sigma of Gaussian noise.

    ValueError for a scale of 0, under which no vote shows anything.
    """
    found = as_noise(noise)
    if found.scale_value == 0.0:
        raise ValueError(
            f"expected a finite {found.scale_name} > 0 in [0,1] pixel units, got 0.0; give it e.g. "
            "as 0.25"
        )
    return found


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
    """The smallest n at which unanimous votes are significant in PREDICT: 2 * 2^-n <= alpha."""
    return math.ceil(1.0 - math.log2(check_alpha(alpha)) - 1e-12)


def check_n(n: int, alpha: float) -> int:
    """The number of samples n; ValueError where even unanimous votes are not significant at alpha.

    The limit is ``smallest_n``. The one-sided bound of CERTIFY would allow one vote less. But its
    radius would be next to nothing: 0.003 sigma at n = 10 and alpha = 0.001. So both algorithms
    share one limit. ValueError too for an n that is no integer.
    """
    n = check_integer(n, "n", 1000)
    if n < smallest_n(alpha):
        raise ValueError(
            f"expected n >= {smallest_n(alpha)} at alpha={alpha:g}, got n={n}; even unanimous "
            "votes would not be significant, so draw more samples or allow a larger alpha"
        )
    return n


@overload
def upper_confidence_bound(successes: Count, n: Count, alpha: float) -> float: ...
@overload
def upper_confidence_bound(successes: Counts, n: Counts | Count, alpha: float) -> Floats: ...
def upper_confidence_bound(
    successes: Counts | Count, n: Counts | Count, alpha: float
) -> float | Floats:
    """The largest p that this few successes do not refute: P(Bin(n, p) <= successes) = alpha.

        upper_confidence_bound(10, 1000, alpha=0.001)      # 0.0239...

    successes, n: integers or integer arrays.
    alpha: the probability that the true p is larger, in (0, 1).

    It is 1 at successes = n. Rounded up: P(Bin(n, p) <= successes) never exceeds alpha. ValueError
    as of ``check_counts``.
    """
    hits, total = check_counts(successes, n)
    level = check_alpha(alpha)
    # Small bounds are exact to the last digits; one near 1 is, by its distance from 1.
    small = _upper_bound(hits, total, level) * (1.0 + _margin(BOUND_MARGIN, total, level))
    near_one = np.nextafter(1.0 - _rounded_share(total - hits, total, level), 1.0)
    return _float_if_scalar(np.minimum(np.minimum(small, near_one), 1.0))


@overload
def lower_confidence_bound(successes: Count, n: Count, alpha: float) -> float: ...
@overload
def lower_confidence_bound(successes: Counts, n: Counts | Count, alpha: float) -> Floats: ...
def lower_confidence_bound(
    successes: Counts | Count, n: Counts | Count, alpha: float
) -> float | Floats:
    """The smallest p that this many successes do not refute: P(Bin(n, p) >= successes) = alpha.

        lower_confidence_bound(990, 1000, alpha=0.001)     # 0.976...

    successes, n: integers or integer arrays.
    alpha: the probability that the true p is smaller, in (0, 1).

    It is 0 at successes = 0. Rounded down: P(Bin(n, p) >= successes) never exceeds alpha.
    ValueError for counts that are no integers or do not fit. Cohen et al. 2019, LowerConfBound in
    section 3.2.2.
    """
    hits, total = check_counts(successes, n)
    level = check_alpha(alpha)
    misses = _upper_bound(total - hits, total, level) * (1.0 + _margin(BOUND_MARGIN, total, level))
    near_one = np.nextafter(1.0 - misses, 0.0)
    return _float_if_scalar(np.maximum(near_one, _rounded_share(hits, total, level)))


@overload
def radius_from_counts(
    successes: Count, n: Count, noise: Noise, alpha: float, *, total_variation: float = 0.0
) -> float: ...
@overload
def radius_from_counts(
    successes: Counts,
    n: Counts | Count,
    noise: Noise,
    alpha: float,
    *,
    total_variation: float = 0.0,
) -> Floats: ...
def radius_from_counts(
    successes: Counts | Count,
    n: Counts | Count,
    noise: Noise,
    alpha: float,
    *,
    total_variation: float = 0.0,
) -> float | Floats:
    """The certified radius of a class with this many votes, rounded down.

        radius_from_counts(990, 1000, Gaussian(0.25), alpha=0.001)    # l2; 0.25 is short for it
        radius_from_counts(990, 1000, Uniform(0.5), alpha=0.001)      # l1

    successes, n: integers or integer arrays.
    noise: a distribution, or the sigma of Gaussian noise.
    total_variation: how far the sampled noise is from the ideal one over a whole image. Each vote
        share moves by no more than that.

    The radius is ``noise.radius(p_lower - total_variation)`` with p_B = 1 - p_A, in [0, 1] pixel
    units and in the norm ``noise.norm``. It is 0.0 where this p is not above 1/2. ValueError for
    counts that do not fit and for noise of scale 0. For Gaussian noise: Cohen et al. 2019, theorem
    1.
    """
    hits, total = check_counts(successes, n)
    miss_rate = _upper_bound(total - hits, total, check_alpha(alpha)) + check_total_variation(
        total_variation
    )
    relative = _margin(RELATIVE_MARGIN, total, alpha)
    return _float_if_scalar(check_noise(noise).radius_rounded_down(miss_rate, relative))


def null_share(noise: Noise, radius: float, *, total_variation: float = 0.0) -> float:
    """``noise.share`` of the radius: a class with a larger vote share holds within ``radius``.

    Rounded up, with the sampler's total variation included. 1.0 where no number of samples can show
    it.
    """
    variation = check_total_variation(total_variation)
    return check_noise(noise).share(radius, total_variation=variation)


def max_radius(noise: Noise, n: int, alpha: float, *, total_variation: float = 0.0) -> float:
    """The largest radius that n samples can certify: that of unanimous votes."""
    return radius_from_counts(n, n, noise, alpha, total_variation=total_variation)


def hits_needed(
    noise: Noise, radius: float, n: int, alpha: float, *, total_variation: float = 0.0
) -> int | None:
    """The smallest number of hits among n that certifies ``radius``; None if even n hits do not.

        hits_needed(Gaussian(0.25), 0.5, 1000, alpha=0.001)

    At radius 0: the smallest number that does not abstain.
    """
    wanted = check_radius(radius)

    def certifies(hits: int) -> bool:
        found = radius_from_counts(hits, n, noise, alpha, total_variation=total_variation)
        return found > 0.0 and found >= wanted

    return _bisect(certifies, 0, n) if certifies(n) else None


def minimal_n(noise: Noise, radius: float, alpha: float, *, total_variation: float = 0.0) -> int:
    """The smallest n that ``check_n`` accepts and whose unanimous votes certify ``radius``.

        minimal_n(Gaussian(0.25), 0.5, alpha=0.001)

    ValueError where no n does.
    """
    noise = check_noise(noise)

    def certifies(n: int) -> bool:
        return max_radius(noise, n, alpha, total_variation=total_variation) >= radius

    too_few, enough = 0, smallest_n(alpha)
    if null_share(noise, radius, total_variation=total_variation) == 1.0:
        enough = LARGEST_N
    while enough < LARGEST_N and not certifies(enough):
        too_few, enough = enough, min(2 * enough, LARGEST_N)
    if enough == LARGEST_N:
        most = max_radius(noise, 2**32, alpha, total_variation=total_variation)
        raise ValueError(
            f"expected a radius that some n certifies, got {radius:g} under {noise} (total "
            f"variation of the noise sampler {total_variation:.1e}), where {2**32:,} samples, the "
            f"most that can be drawn, certify {most:.4g} at most; use a larger {noise.scale_name} "
            "or a smaller radius"
        )
    return _bisect(certifies, too_few, enough) if too_few else enough


def _bisect(holds: Callable[[int], bool], no: int, yes: int) -> int:
    """The smallest number that holds, between one that does not and a larger one that does."""
    while yes - no > 1:
        middle = (no + yes) // 2
        no, yes = (no, middle) if holds(middle) else (middle, yes)
    return yes


@overload
def binomial_p_value(top: Count, second: Count) -> float: ...
@overload
def binomial_p_value(top: Counts, second: Counts) -> Floats: ...
def binomial_p_value(top: Counts | Count, second: Counts | Count) -> float | Floats:
    """The p-value of the two-sided exact test that two classes are equally likely.

        binomial_p_value(90, 10)

    top, second: vote counts of the two classes, integers or integer arrays. Cohen et al. 2019,
        algorithm PREDICT.
    """
    first, other = np.broadcast_arrays(np.asarray(top), np.asarray(second))
    total = first + other
    check_counts(first, np.maximum(total, 1))
    larger = np.maximum(first, other)
    # P(Bin(total, 1/2) >= larger)
    tail = special.betainc(np.maximum(larger, 1.0), total - larger + 1.0, 0.5)
    return _float_if_scalar(np.where(total == 0, 1.0, np.minimum(1.0, 2.0 * tail)))


def _upper_bound(hits: Counts, total: Counts, alpha: float) -> Floats:
    """``upper_confidence_bound`` of checked counts; ValueError for alpha below SMALLEST_ALPHA."""
    if alpha < SMALLEST_ALPHA:
        raise ValueError(
            f"expected alpha >= {SMALLEST_ALPHA:g}, got {alpha!r}; bounds are not computed below "
            "that"
        )
    # A harmless argument at the two ends, whose bounds are set below.
    inner = np.where((hits == 0) | (hits == total), 1, hits)
    bound = special.betainccinv(inner + 1.0, np.maximum(total - inner, 1.0), alpha)
    # NaN for some alpha below 1e-190 and bounds next to 1; that bound is always safe.
    bound = np.nan_to_num(bound, nan=1.0)
    bound = np.where(hits == 0, -np.expm1(math.log(alpha) / total), bound)
    return np.where(hits == total, 1.0, bound)


def _rounded_share(hits: Counts, total: Counts, alpha: float) -> Floats:
    """The lower bound on the share of checked ``hits``, rounded down; 0 without any."""
    inner = np.maximum(hits, 1)
    # NaN where betainccinv is; that bound is always safe.
    bound = np.nan_to_num(special.betaincinv(np.float64(inner), total - inner + 1.0, alpha))
    rounded = np.maximum(bound * (1.0 - _margin(BOUND_MARGIN, total, alpha)), 0.0)
    return np.where(hits == 0, 0.0, rounded)


def _margin(smallest: float, total: Counts, alpha: float) -> Floats:
    """A relative margin that is above the errors of the inverted tails at this n and alpha."""
    loose = LOOSE_FACTOR if alpha > LOOSE_ALPHA else 1.0
    return smallest * loose * np.maximum(total / MARGIN_GROWS_FROM, 1.0)


def _float_if_scalar(values: NDArray[np.float64]) -> float | Floats:
    return float(values) if values.ndim == 0 else values


def _span(values: Counts) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}..{high}"
