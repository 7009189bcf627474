"""The fewest samples that any test could take on average: what a sequential rule can still gain."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import special

from rsmooth.certify.proof.joint import JointTest

POWER = 0.9  # of the last look alone, at the share that a test must tell from its p0


def wald_bound(test: JointTest, p: float) -> float:
    """A lower bound on the mean samples of any tests with the level and the power of these.

        wald_bound(RadiusRule(0.25, 0.125, 0.001, 100_000).test, 0.9)

    p: the vote share of the image. The bound allows a test that knows p beforehand, and the p that
        it has to tell it from. So no test reaches it at all p at once.

    A test accepts p > p0 with probability w(p). For every q, E_p[N] >= kl(w(p), w(q)) / kl(p, q),
    with kl the relative entropy of two coins (Wald 1947; data processing). q is p0, where w is at
    most alpha, and the share at which the last look alone accepts with probability 90 %. Of several
    tests on one stream, the largest bound counts.
    """
    found = 0.0
    accepted = np.minimum(test.outcome(p)[1], 1.0)  # sums may exceed it in the last digit
    for p0, chance, (promising, there) in zip(
        test.p0, accepted.tolist(), _promising(test), strict=True
    ):
        if p > p0 and chance > test.alpha:
            found = max(found, _kl(chance, test.alpha) / _kl(p, p0))
        if p < promising and chance < there:
            found = max(found, _kl(chance, there) / _kl(p, promising))
    return found


@lru_cache(maxsize=64)
def _promising(test: JointTest) -> tuple[tuple[float, float], ...]:
    """For each test, the share that the last look alone accepts with ``POWER``, and its power."""
    found, n = [], test.looks[-1]
    for index, threshold in enumerate(test.accept[-1].tolist()):
        needed = min(threshold, n)
        share = float(special.betaincinv(needed, n - needed + 1, POWER))
        found.append((share, min(float(test.outcome(share)[1][index]), 1.0)))
    return tuple(found)


def _kl(a: float, b: float) -> float:
    return float(special.rel_entr(a, b) + special.rel_entr(1.0 - a, 1.0 - b))
