"""What a certification will cost and can show at best, before it is run and without a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsmooth.certify.proof.bounds import Noise, check_n, check_noise, max_radius, minimal_n
from rsmooth.certify.proof.rules import AnytimeRule, FixedRule, GridRule, RadiusRule
from rsmooth.certify.proof.stopping import StoppingRule
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.plumbing.numbers import check_integer

# Simulated images per row. The mean sample size is then exact to about 10 %, as the row says.
_STREAMS = 600


@dataclass(frozen=True)
class PlanRow:
    """The cost of one mode.

    samples: mean number per image, selection included. A selection that may end early is taken to
        be between two classes, which makes it no shorter than it is.
    standard_error: of that mean.
    hours: for all images; None where the rate is not known.
    """

    mode: str
    samples: float
    standard_error: float
    hours: float | None


@dataclass(frozen=True)
class Plan:
    """What n samples per image can show, what a radius needs, and what each mode costs.

        print(plan(Gaussian(0.5), radius=1.0))

    max_radius: what unanimous votes certify.
    minimal_n: the samples that ``radius`` needs; None where no radius was given.
    """

    noise: NoiseDistribution
    alpha: float
    n: int
    n0: int
    images: int
    max_radius: float
    radius: float | None
    minimal_n: int | None
    rows: tuple[PlanRow, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.noise}, alpha {self.alpha:g}: n = {self.n:,} certifies at most "
            f"{self.max_radius:.4f} in {self.noise.norm}",
            *self._wanted(),
            f"{'mode':<10}{'samples per image':>22}{f'hours for {self.images:,} images':>30}",
        ]
        for row in self.rows:
            error = f" ± {row.standard_error:,.0f}" if row.standard_error else ""
            hours = "unknown: give a rate" if row.hours is None else f"{row.hours:,.2f}"
            lines.append(f"{row.mode:<10}{f'{row.samples:,.0f}{error}':>22}{hours:>30}")
        return "\n".join(lines)

    def _wanted(self) -> list[str]:
        if self.radius is None or self.minimal_n is None:
            return []
        verdict = "" if self.minimal_n <= self.n else ": out of reach of this n"
        return [f"radius {self.radius:g} needs n >= {self.minimal_n:,}{verdict}"]


def plan(
    noise: Noise,
    *,
    alpha: float = 1e-3,
    n: int = 100_000,
    n0: int = 100,
    images: int = 500,
    radius: float | None = None,
    radii: Sequence[float] | None = None,
    tolerance: float | None = None,
    rate: float | None = None,
    shares: Sequence[float] | None = None,
    seed: int = 0,
) -> Plan:
    """Plan a certification: what it costs in each mode, and what it can show.

        plan(Gaussian(0.5), radius=1.0, radii=[0.25, 0.5, 1.0], shares=[0.6, 0.9, 0.99, 0.9999])

    noise: a distribution, or the sigma of Gaussian noise.
    alpha, n, n0: as in ``CertifySettings``.
    radius, radii, tolerance: the options of the sequential modes. A mode is planned where its
        option and ``shares`` are given.
    rate: measured speed in samples per second, over all devices. Without it the hours stay unknown.
    shares: vote shares p_A that the images are expected to have, for example from an earlier run.
        The cost of the sequential modes depends on them.
    seed: of the simulated votes.

    ValueError for a radius that no n certifies.
    """
    n, n0 = check_n(n, alpha), check_integer(n0, "n0", 100)
    images = check_integer(images, "number of images", 500)
    if images < 1 or n0 < 0 or (rate is not None and not 0.0 < rate < math.inf):
        raise ValueError(
            f"expected images >= 1, n0 >= 0 and a rate > 0, got {images}, {n0} and {rate!r}"
        )
    if max(n, n0) > 2**32:
        raise ValueError(
            f"expected n and n0 of at most {2**32:,} samples, which is all that a seed gives, got "
            f"{n:,} and {n0:,}; draw fewer"
        )
    noise = check_noise(noise)
    needed = None if radius is None else minimal_n(noise, radius, alpha)
    rules: list[StoppingRule] = [FixedRule(noise, n, alpha)]
    if shares is not None:
        if radius is not None and needed is not None and needed <= n:
            rules.append(RadiusRule(noise, radius, alpha, n))
        if radii is not None:
            rules.append(GridRule(noise, radii, alpha, n))
        if tolerance is not None:
            rules.append(AnytimeRule(noise, alpha, n, tolerance))
    rows = tuple(_row(rule, n0, images, rate, shares, seed) for rule in rules)
    return Plan(noise, alpha, n, n0, images, max_radius(noise, n, alpha), radius, needed, rows)


def simulated_samples(
    rule: StoppingRule, shares: Sequence[float], *, seed: int = 0
) -> NDArray[np.int64]:
    """The samples (len(shares),) that images with these vote shares take under a rule.

        simulated_samples(RadiusRule(0.5, 0.5, 0.001, 10_000), [0.6, 0.9, 0.99])

    One stream of votes is simulated per image.
    """
    p = np.asarray(shares, dtype=np.float64)
    if p.ndim != 1 or not p.size or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError("expected vote shares in [0, 1], at least one")
    steps = np.diff(rule.looks, prepend=0)
    hits = np.random.default_rng(seed).binomial(steps, p[:, None]).cumsum(axis=1)
    return np.array([_samples(rule, path.tolist()) for path in hits])


def _samples(rule: StoppingRule, path: list[int]) -> int:
    decisions = (rule.decide(path[: look + 1]) for look in range(len(path)))
    return next(decision.samples for decision in decisions if decision is not None)


def _row(
    rule: StoppingRule,
    n0: int,
    images: int,
    rate: float | None,
    shares: Sequence[float] | None,
    seed: int,
) -> PlanRow:
    samples, error, selection = float(rule.looks[-1]), 0.0, float(n0)
    if shares is not None and len(rule.looks) > 1:
        copies = -(-_STREAMS // max(len(shares), 1))
        taken = simulated_samples(rule, np.tile(shares, copies).tolist(), seed=seed)
        samples, error = float(taken.mean()), float(taken.std(ddof=1) / np.sqrt(taken.size))
    if shares is not None and isinstance(rule, RadiusRule | GridRule) and n0:
        selection = float(np.mean([rule.design.expected_selection(p, n0) for p in shares]))
    samples += selection
    hours = None if rate is None else samples * images / rate / 3600.0
    return PlanRow(rule.mode, samples, error, hours)
