"""Bounds and radii never claim more than the exact binomial tail allows, at any n and alpha.

The tail is summed a second time, in mpmath, to 50 digits and more. A radius claims that so few
misses are improbable at the probability of the other classes that it allows.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rsmooth.certify.proof.bounds import (
    lower_confidence_bound,
    radius_from_counts,
    upper_confidence_bound,
)
from rsmooth.noise.distributions import NoiseDistribution

mpmath = pytest.importorskip(
    "mpmath", reason="the independent high-precision computation needs mpmath"
)
from tests.noise.oracles import NAMES, ORACLES, make  # noqa: E402  (imports mpmath)

ALPHAS = [0.9999, 0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01, 1e-3, 1e-12, 1e-100, 1e-199]
FEW = [0, 1, 2, 3, 5, 20]


def tail(few: int, n: int, p: Any) -> Any:
    """P(Bin(n, p) <= few)."""
    if p >= 1:
        return mpmath.mpf(few >= n)
    term = mpmath.exp(n * mpmath.log1p(-p))
    total, odds = term, p / (1 - p)
    for k in range(1, few + 1):
        term *= odds * (n - k + 1) / k
        total += term
    return total


def cases(seed: int, count: int) -> list[tuple[int, int, float]]:
    """(few, n, alpha), n up to a thousand million; the hard ones first."""
    generator = np.random.default_rng(seed)
    hard = [(1, 10**6, 0.4), (1, 45_240_250, 0.4), (1, 707_814_394, 0.4), (3, 10, 1e-100)]
    sizes = (10 ** generator.uniform(0, 9, count)).astype(int).tolist()
    few = generator.choice(FEW, count).tolist()
    alphas = generator.choice(ALPHAS, count).tolist()
    return hard + [(min(k, n), n, alpha) for k, n, alpha in zip(few, sizes, alphas, strict=True)]


@pytest.mark.parametrize(("few", "n", "alpha"), cases(0, 150))
def test_bounds_keep_alpha_on_both_sides(few: int, n: int, alpha: float) -> None:
    with mpmath.workdps(260):  # for tails next to 1
        level = mpmath.mpf(alpha)
        low, high = lower_confidence_bound(n - few, n, alpha), upper_confidence_bound(few, n, alpha)
        if few < n:
            assert tail(few, n, 1 - mpmath.mpf(low)) <= level or low == 0
            assert tail(few, n, mpmath.mpf(high)) <= level
        low, high = lower_confidence_bound(few, n, alpha), upper_confidence_bound(n - few, n, alpha)
        if few:
            assert 1 - tail(few - 1, n, mpmath.mpf(low)) <= level
            assert 1 - tail(few - 1, n, 1 - mpmath.mpf(high)) <= level or high == 1


@pytest.mark.parametrize("name", NAMES)
def test_radii_keep_alpha(name: str) -> None:
    noise: NoiseDistribution = make(name, 1.0)
    for few, n, alpha in cases(1, 300):
        radius = radius_from_counts(n - few, n, noise, alpha)
        if radius > 0:
            with mpmath.workdps(50):
                miss = ORACLES[name].miss(mpmath.mpf(radius))
                assert tail(few, n, miss) <= alpha, (few, n, alpha)


def test_rounding_costs_next_to_nothing() -> None:
    for n, alpha in itertools.product([10, 1000, 10**6, 10**9], [1e-3, 0.4]):
        for few in (1, 5):
            low = lower_confidence_bound(n - few, n, alpha)
            assert tail(few, n, 1 - mpmath.mpf(low)) > alpha * (1 - 1e-6)
            assert 1 - tail(few - 1, n, lower_confidence_bound(few, n, alpha)) > alpha * (1 - 1e-6)
