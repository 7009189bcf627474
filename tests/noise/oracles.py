"""What each noise distribution is, written down a second time: in mpmath, at scale 1.

An entry of the registry without an oracle here fails ``test_distributions``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
from scipy import stats

from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.registry import NOISES

mpf = mpmath.mpf


@dataclass(frozen=True)
class Oracle:
    """tail(x) = P(noise > x) and sum_tail(x) = P(sum of two independent values > x), for x >= 0.

    miss(r): the probability of the other classes at which a radius r is just certified; radius is
    its inverse. scipy: the distribution there. norm and pair: the norm of the radii, and how far
    the boundary of "the sum of two pixels" is in it, per unit of the sum.
    """

    norm: str
    tail: Callable[[Any], Any]
    sum_tail: Callable[[Any], Any]
    miss: Callable[[Any], Any]
    radius: Callable[[Any], Any]
    scipy: Any
    pair: float


def gaussian_tail(x: Any) -> Any:
    return mpmath.erfc(x / mpmath.sqrt(2)) / 2


ORACLES = {
    "gaussian": Oracle(
        "l2",
        gaussian_tail,
        lambda x: gaussian_tail(x / mpmath.sqrt(2)),
        gaussian_tail,
        lambda miss: mpmath.findroot(
            lambda r: mpmath.log(gaussian_tail(r) / miss), stats.norm.isf(float(miss))
        ),
        stats.norm(),
        np.sqrt(0.5),
    ),
    "uniform": Oracle(
        "l1",
        lambda x: max((1 - x) / 2, mpf(0)),
        lambda x: max(2 - x, mpf(0)) ** 2 / 8,
        lambda r: max((1 - r) / 2, mpf(0)),
        lambda miss: 1 - 2 * miss,
        stats.uniform(-1, 2),
        1.0,
    ),
    "laplace": Oracle(
        "l1",
        lambda x: mpmath.exp(-x) / 2,
        lambda x: mpmath.exp(-x) * (2 + x) / 4,
        lambda r: mpmath.exp(-r) / 2,
        lambda miss: -mpmath.log(2 * miss),
        stats.laplace(),
        1.0,
    ),
}
NAMES = NOISES.own_names()
SCALES = (0.12, 0.25, 0.5, 1.0)


def make(name: str, scale: float) -> NoiseDistribution:
    """The registered distribution of this name and scale."""
    noise: NoiseDistribution = NOISES.get(name)(scale)
    return noise
