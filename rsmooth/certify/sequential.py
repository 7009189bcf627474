"""Exact group-sequential tests of a vote share: look at growing sample sizes, stop as soon as the answer is clear.

A test of H0: p <= p0 looks at the cumulative hits X_k after n_1 < ... < n_K samples and rejects at the first look with
X_k >= accept[k]. The thresholds come from the exact distribution of the hits of streams that have not yet stopped, so the
chance that any look rejects at p = p0 is at most alpha; it grows with p, so p < p0 is covered as well. Error spending
after Lan and DeMets 1983 (Biometrika 70), computed by convolution instead of a Gaussian limit.

Giving up (futility, X_k <= reject[k]) is non-binding: alpha is spent as though no stream ever gave up, so sampling on
past a futile look, or any other early abandonment, never breaks the guarantee.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from rsmooth.checks import check_alpha

# Taken off each look's spend: far above the rounding of the convolutions and the trimmed tails (below 1e-14), far below
# any alpha in use.
NUMERICAL_SLACK = 1e-12
_TRIM = 1e-18


def default_looks(max_n: int, *, start: int = 32, growth: float = math.sqrt(2.0)) -> tuple[int, ...]:
    """Cumulative sample sizes start, start*growth, ... and max_n last; a look within 10% of max_n is left out."""
    if max_n < 1 or start < 1 or growth <= 1.0:
        raise ValueError(f"expected max_n >= 1, start >= 1 and growth > 1, got {max_n}, {start} and {growth:g}")
    sizes = []
    size = float(start)
    while round(size) < 0.9 * max_n:
        sizes.append(round(size))
        size = max(size * growth, size + 1.0)
    return (*sizes, max_n)


class Stream:
    """The exact distribution of the cumulative hits of the streams that are still running, all with vote share p."""

    def __init__(self, p: float) -> None:
        self.p = p
        self.low = 0  # hits of the first entry of mass
        self.mass: NDArray[np.float64] = np.ones(1)

    def draw(self, samples: int) -> None:
        """Let every running stream draw this many samples more."""
        middle, spread = samples * self.p, math.sqrt(samples * self.p * (1.0 - self.p))
        low = max(0, math.floor(middle - 9.5 * spread - 40.0))
        high = min(samples, math.ceil(middle + 9.5 * spread + 40.0))
        step = stats.binom.pmf(np.arange(low, high + 1), samples, self.p)
        self.mass = np.convolve(self.mass, step) if self.mass.size else self.mass
        self.low += low
        self._trim()

    def stop_at_least(self, hits: int) -> float:
        """Stop the streams with at least this many hits; their probability."""
        keep = min(max(hits - self.low, 0), self.mass.size)
        stopped = float(self.mass[keep:].sum())
        self.mass = self.mass[:keep]
        return stopped

    def stop_at_most(self, hits: int) -> float:
        """Stop the streams with at most this many hits; their probability."""
        drop = min(max(hits + 1 - self.low, 0), self.mass.size)
        stopped = float(self.mass[:drop].sum())
        self.mass = self.mass[drop:]
        self.low += drop
        return stopped

    def highest_within(self, probability: float) -> int:
        """Smallest c such that the running streams with c hits or more have at most this probability."""
        from_top = np.cumsum(self.mass[::-1])
        fits = int(np.searchsorted(from_top, probability, side="right"))
        return self.low + self.mass.size - fits

    def lowest_within(self, probability: float) -> int:
        """Largest c such that the running streams with c hits or fewer have at most this probability."""
        from_bottom = np.cumsum(self.mass)
        return self.low + int(np.searchsorted(from_bottom, probability, side="right")) - 1

    def _trim(self) -> None:
        """Drop the tails that no sum will notice, so that the arrays stay a few standard deviations wide."""
        kept = np.flatnonzero(self.mass > _TRIM / max(self.mass.size, 1))
        if kept.size:
            self.low, self.mass = self.low + int(kept[0]), self.mass[kept[0] : kept[-1] + 1]
