"""Exact group-sequential tests of a vote share: sampling stops as soon as the answer is clear.

A test of H0: p <= p0 has looks at n_1 < ... < n_K samples. At look k it compares the cumulative
hits X_k with a threshold. It rejects H0 at the first look with X_k >= accept[k]. The thresholds
come from the exact distribution of the hits of streams that have not stopped. So the probability
that any look rejects at p = p0 is at most alpha. It grows with p, so p < p0 is covered as well.
Error spending follows Lan and DeMets 1983 (Biometrika 70), with convolutions in place of their
Gaussian limit.

Giving up (futility, X_k <= reject[k]) is non-binding: alpha is spent as though no stream ever gave
up. So the guarantee holds if sampling goes on past a futile look. It also holds if a stream is
abandoned for any reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from rsmooth.certify.proof.budget import ErrorBudget
from rsmooth.plumbing.numbers import check_alpha

# Taken off the spend of each look. It is far below any alpha in use. It is far above the error of
# the convolutions and the trimmed tails: together below 1e-15 per look, and below 1e-13 where a
# convolution uses the Fourier transform.
NUMERICAL_SLACK = 1e-12
# A single probability too small to follow. An array holds far fewer than 10^6 of them.
_NEGLIGIBLE = 1e-22
# Fourier transforms leave errors below this.
_NEGLIGIBLE_AFTER_FFT = 1e-17
# A convolution of more products uses the Fourier transform: from some ten million samples on.
_DIRECT_PRODUCTS = 10**8


def default_looks(
    max_n: int, *, start: int = 32, growth: float = math.sqrt(2.0)
) -> tuple[int, ...]:
    """The looks start, start * growth, ... and max_n: cumulative sample sizes.

        default_looks(100)      # (32, 45, 64, 100)

    A last step shorter than a tenth of max_n is joined to the one before. ValueError for a start
    below 1 or a growth that is not above 1 and finite.
    """
    if max_n < 1 or start < 1 or not 1.0 < growth < math.inf:
        raise ValueError(
            f"expected max_n >= 1, start >= 1 and a finite growth > 1, got {max_n}, {start} and "
            f"{growth:g}"
        )
    sizes, size = [], float(start)
    while round(size) < 0.9 * max_n:
        sizes.append(round(size))
        size = max(size * growth, size + 1.0)
    return (*sizes, max_n)


def check_looks(looks: tuple[int, ...]) -> None:
    """Cumulative sample sizes must be positive and increasing; ValueError otherwise."""
    if not looks or any(later <= earlier for earlier, later in pairwise((0, *looks))):
        raise ValueError(f"expected increasing sample sizes >= 1, got looks={looks}")


def spending(alpha: float, looks: int, final_share: float) -> tuple[float, ...]:
    """How alpha is spent over the looks: ``final_share`` at the last one, equal parts before.

    spending(0.001, 3, final_share=0.5)      # (0.00025, 0.00025, 0.0005)
    """
    if not 0.0 < final_share <= 1.0:
        raise ValueError(f"expected a final share of alpha in (0, 1], got {final_share!r}")
    if looks == 1:
        return (alpha,)
    budget = ErrorBudget(alpha)
    interim = [
        budget.spend(alpha * (1.0 - final_share) / (looks - 1), f"look {k + 1}")
        for k in range(looks - 1)
    ]
    return (*interim, budget.spend(alpha * final_share, "last look"))


class HitsDistribution:
    """The exact distribution of the cumulative hits of the streams that still run.

        hits = HitsDistribution(0.9)
        hits.draw(32)
        hits.stop_at_least(32)        # 0.9**32, the probability that all are hits

    All streams have the vote share p. ``mass[k]`` is the probability of low + k hits.
    """

    def __init__(self, p: float, low: int = 0, mass: NDArray[np.float64] | None = None) -> None:
        self.p = p
        self.low = low  # the number of hits that mass[0] belongs to
        self.mass = np.ones(1) if mass is None else mass

    def draw(self, samples: int) -> None:
        """Let every running stream draw this many samples more."""
        low, step = _binomial(samples, self.p)
        if self.mass.size:
            self.mass, negligible = _convolve(self.mass, step)
            self.low += low
            kept = np.flatnonzero(self.mass > negligible)
            first, last = (int(kept[0]), int(kept[-1]) + 1) if kept.size else (0, 0)
            self.low, self.mass = self.low + first, self.mass[first:last]

    def stop_at_least(self, hits: int) -> float:
        """Stop the streams with at least this many hits; returns their probability."""
        keep = min(max(hits - self.low, 0), self.mass.size)
        stopped = float(self.mass[keep:].sum())
        self.mass = self.mass[:keep]
        return stopped

    def stop_at_most(self, hits: int) -> float:
        """Stop the streams with at most this many hits; returns their probability."""
        drop = min(max(hits + 1 - self.low, 0), self.mass.size)
        stopped = float(self.mass[:drop].sum())
        self.mass = self.mass[drop:]
        self.low += drop
        return stopped

    def part(self, first: int, last: int) -> HitsDistribution:
        """The running streams whose hits are those of ``mass[first:last]``."""
        return HitsDistribution(self.p, self.low + first, self.mass[first:last])

    def join(self, other: HitsDistribution) -> HitsDistribution:
        """The streams of both distributions together."""
        low = min(self.low, other.low)
        high = max(self.low + self.mass.size, other.low + other.mass.size)
        mass = np.zeros(high - low)
        for stream in (self, other):
            mass[stream.low - low : stream.low - low + stream.mass.size] += stream.mass
        return HitsDistribution(self.p, low, mass)

    def highest_within(self, probability: float) -> int:
        """The smallest c for which c hits or more have at most this probability."""
        from_top = np.cumsum(self.mass[::-1])
        return self.low + self.mass.size - int(np.searchsorted(from_top, probability, side="right"))

    def lowest_within(self, probability: float) -> int:
        """The largest c for which c hits or fewer have at most this probability."""
        from_bottom = np.cumsum(self.mass)
        return self.low + int(np.searchsorted(from_bottom, probability, side="right")) - 1


def _convolve(
    mass: NDArray[np.float64], step: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The distribution of the sum of two independent numbers, and its numerical accuracy.

    Smaller probabilities than the second value mean nothing.
    """
    if mass.size * step.size <= _DIRECT_PRODUCTS:
        return np.convolve(mass, step), _NEGLIGIBLE
    size = mass.size + step.size - 1
    padded = fft.next_fast_len(size, real=True)
    product = fft.irfft(fft.rfft(mass, padded) * fft.rfft(step, padded), padded)[:size]
    return np.where(product > _NEGLIGIBLE_AFTER_FFT, product, 0.0), _NEGLIGIBLE_AFTER_FFT


def _binomial(samples: int, p: float) -> tuple[int, NDArray[np.float64]]:
    """Probabilities of Bin(samples, p) around its mode, and the hits of the first of them.

    The probability that is left out is below 1e-20.
    """
    if p in (0.0, 1.0):
        return round(samples * p), np.ones(1)
    mode = min(samples, math.floor((samples + 1) * p))
    reach = math.ceil(9.5 * math.sqrt(samples * p * (1.0 - p)) + 40.0)
    low, high = max(0, mode - reach), min(samples, mode + reach)
    # Ratios of neighbours keep 12 digits. Differences of log-gammas would lose half of them.
    up = np.arange(mode, high, dtype=np.float64)
    down = np.arange(mode, low, -1, dtype=np.float64)
    above = np.cumprod((samples - up) / (up + 1.0) * (p / (1.0 - p)))
    below = np.cumprod(down / (samples - down + 1.0) * ((1.0 - p) / p))
    mass = np.concatenate([below[::-1], [1.0], above])
    return low, mass / mass.sum()


@dataclass(frozen=True)
class GroupSequentialTest:
    """Thresholds of a test of H0: p <= p0 at level alpha; ``design`` makes and explains them.

        test = design(0.8, default_looks(1000), alpha=0.001)
        test.power(0.9), test.expected_samples(0.9)

    At look k the test accepts p > p0 when hits >= accept[k], and gives up when hits <= reject[k].
    -1 in reject means never, and so does accept[k] = looks[k] + 1. At the last look it does one of
    the two.
    """

    p0: float
    alpha: float
    looks: tuple[int, ...]
    accept: tuple[int, ...]
    reject: tuple[int, ...]

    def power(self, p: float) -> float:
        """Exact probability of accepting p > p0 when the vote share is p."""
        return sum(accepted for _, accepted, _ in self._walk(p, self.reject))

    def expected_samples(self, p: float) -> float:
        """Exact mean number of samples until the test stops when the vote share is p."""
        return sum(
            size * (accepted + given_up) for size, accepted, given_up in self._walk(p, self.reject)
        )

    def type_one_error(self, p: float | None = None) -> float:
        """The exact probability that a stream which never gives up is accepted at p.

        None takes p0. It is at most alpha at p <= p0.
        """
        never = (-1,) * len(self.looks)
        return sum(accepted for _, accepted, _ in self._walk(self.p0 if p is None else p, never))

    def _walk(self, p: float, reject: tuple[int, ...]) -> Iterator[tuple[int, float, float]]:
        """For each look its size, and the probabilities of accepting and of giving up there."""
        stream, drawn = HitsDistribution(p), 0
        for size, accept, give_up in zip(self.looks, self.accept, reject, strict=True):
            stream.draw(size - drawn)
            drawn = size
            yield size, stream.stop_at_least(accept), stream.stop_at_most(give_up)


@lru_cache(maxsize=1024)
def design(
    p0: float,
    looks: tuple[int, ...],
    alpha: float,
    *,
    final_share: float = 0.5,
    power_loss: float = 0.01,
) -> GroupSequentialTest:
    """The exact group-sequential test of H0: p <= p0 at level alpha.

        design(0.8, default_looks(1000), alpha=0.001)

    looks: cumulative sample sizes.
    final_share: the part of alpha that is spent at the last look. The others share the rest
        equally.
    power_loss: the share of promising streams that may be given up in error; 0 never gives up. The
        last look alone would accept promising streams with probability 90 %.

    Each look may spend its part of alpha, and what earlier looks left over. accept[k] is the
    smallest threshold within that. ValueError for p0 outside (0, 1), or where even unanimous votes
    cannot reach alpha. Lan and DeMets 1983 (Biometrika 70).
    """
    check_looks(looks)
    if not 0.0 < p0 < 1.0 or not 0.0 <= power_loss < 0.5:
        raise ValueError(
            f"expected p0 in (0, 1) and a power loss in [0, 0.5), got {p0!r} and {power_loss!r}"
        )
    needed = samples_to_accept(p0, alpha)
    if looks[-1] < needed:
        raise ValueError(
            f"expected at least {needed} samples to show p > {p0!r} at alpha={alpha:g}, got "
            f"{looks[-1]}"
        )
    accept = _acceptance(p0, looks, spending(alpha, len(looks), final_share))
    return GroupSequentialTest(p0, alpha, looks, accept, _surrender(looks, accept, power_loss))


def samples_to_accept(p0: float, alpha: float) -> float:
    """The smallest last look at which unanimous votes reach level alpha against p <= p0.

    It is inf at p0 = 1. ValueError for an alpha below 1e-8.
    """
    if check_alpha(alpha) < 1e-8:
        raise ValueError(
            f"expected alpha >= 1e-8, got {alpha!r}; sequential thresholds are not computed below "
            "that"
        )
    return (
        math.ceil(math.log(alpha - 100 * NUMERICAL_SLACK) / math.log(p0)) if p0 < 1.0 else math.inf
    )


def _acceptance(p0: float, looks: tuple[int, ...], spends: tuple[float, ...]) -> tuple[int, ...]:
    """The smallest thresholds whose crossing probability at p0 stays within the spends so far."""
    stream, drawn, unspent, thresholds = HitsDistribution(p0), 0, 0.0, []
    for size, spend in zip(looks, spends, strict=True):
        stream.draw(size - drawn)
        drawn = size
        unspent += spend - NUMERICAL_SLACK
        threshold = min(stream.highest_within(unspent), size + 1)
        unspent -= stream.stop_at_least(threshold)
        thresholds.append(threshold)
    return tuple(thresholds)


def _surrender(
    looks: tuple[int, ...], accept: tuple[int, ...], power_loss: float
) -> tuple[int, ...]:
    """The largest thresholds that lose at most ``power_loss`` of the streams worth following.

    The loss is spread equally over the looks. Streams that were accepted before are followed on.
    This overstates the loss a little, and keeps the thresholds simple.
    """
    final = min(accept[-1], looks[-1])
    # P(Bin(max_n, promising) >= final) = 0.9
    promising = float(special.betaincinv(final, looks[-1] - final + 1, 0.9))
    stream, drawn, unspent, thresholds = HitsDistribution(promising), 0, 0.0, []
    for size, threshold in zip(looks[:-1], accept[:-1], strict=True):
        stream.draw(size - drawn)
        drawn = size
        unspent += power_loss / len(looks)
        give_up = max(min(stream.lowest_within(unspent), threshold - 1), -1) if power_loss else -1
        unspent -= stream.stop_at_most(give_up)
        thresholds.append(give_up)
    return (*thresholds, accept[-1] - 1)
