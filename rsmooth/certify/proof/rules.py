"""The stopping rules of the modes: fixed, radius, grid and anytime."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from rsmooth.certify.proof.bounds import (
    Noise,
    check_n,
    check_noise,
    check_total_variation,
    null_share,
    radius_from_counts,
    upper_confidence_bound,
)
from rsmooth.certify.proof.designs import PRESENT_DESIGN, SequentialDesign
from rsmooth.certify.proof.joint import JointTest, joint_design
from rsmooth.certify.proof.sequential import default_looks, samples_to_accept, spending
from rsmooth.certify.proof.stopping import Decision, Hits, StoppingRule
from rsmooth.plumbing.numbers import check_radius

# The options of certification that each mode takes, and needs.
MODE_OPTIONS: dict[str, set[str]] = {
    "fixed": set(),
    "radius": {"radius"},
    "grid": {"radii"},
    "anytime": {"tolerance"},
}
# The modes that a ``SequentialDesign`` shapes.
DESIGNED_MODES = ("radius", "grid")
# The share of images with a radius above the tolerance that an early end may abstain on.
_GIVE_UP = 0.01


@dataclass(frozen=True)
class FixedRule(StoppingRule):
    """The full radius from n samples by one Clopper-Pearson bound.

        FixedRule(Gaussian(0.25), 1000, 0.001).decide([990])      # Decision(radius=..., ...)

    CERTIFY of Cohen et al. 2019 (arXiv:1902.02918).
    """

    noise: Noise
    n: int
    alpha: float
    total_variation: float = 0.0
    mode: ClassVar[str] = "fixed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_noise(self.noise))
        check_n(self.n, self.alpha)
        check_total_variation(self.total_variation)

    @property
    def looks(self) -> tuple[int, ...]:
        return (self.n,)

    def _judge(self, hits: Hits) -> Decision:
        radius = radius_from_counts(
            int(hits[0]), self.n, self.noise, self.alpha, total_variation=self.total_variation
        )
        return Decision(radius, radius > 0.0, self.n)


class _TestingRule(StoppingRule):
    """What the modes share that decide given radii: one joint group-sequential test."""

    noise: Noise
    alpha: float
    max_n: int
    total_variation: float
    design: SequentialDesign

    @property
    @abstractmethod
    def decided_radii(self) -> tuple[float, ...]:
        """The radii that are tested, in growing order."""

    @cached_property
    def looks(self) -> tuple[int, ...]:
        return self.design.looks(self.max_n)

    def selection_sizes(self, n0: int) -> tuple[int, ...]:
        return self.design.selection_sizes(n0)

    def selects(self, votes: Hits) -> bool:
        return self.design.selects(votes)

    @cached_property
    def test(self) -> JointTest:
        """The tests of p <= ``null_share``, one per decided radius.

        The sampler's total variation raises these shares.
        """
        shares = [
            null_share(self.noise, radius, total_variation=self.total_variation)
            for radius in self.decided_radii
        ]
        return joint_design(
            shares,
            self.looks,
            self.alpha,
            final_share=self.design.final_share,
            power_loss=self.design.power_loss,
        )

    def _needed(self, radius: float) -> float:
        share = null_share(self.noise, radius, total_variation=self.total_variation)
        return samples_to_accept(share, self.alpha)

    def _check_reach(self, radius: float) -> None:
        check_n(self.max_n, self.alpha)
        if self._needed(radius) > self.max_n:
            raise ValueError(
                f"expected max_n >= {self._needed(radius)} to certify radius {radius:g} under "
                f"{self.noise} at alpha={self.alpha:g}, got {self.max_n}; draw more samples or use "
                "noise of a larger scale"
            )

    def _judge(self, hits: Hits) -> Decision | None:
        accepted, kept = self.test.state_after(hits)
        if accepted < kept:
            return None
        radius = self.decided_radii[accepted - 1] if accepted else 0.0
        return Decision(radius, accepted > 0, self.looks[hits.size - 1])


@dataclass(frozen=True)
class RadiusRule(_TestingRule):
    """Decides whether the class holds within one radius.

        RadiusRule(Gaussian(0.25), 0.5, 0.001, 10_000)

    It takes at most max_n samples, and usually far fewer.

    design: where the test looks and how it spends alpha.

    ValueError for a radius that max_n unanimous votes cannot certify.
    """

    noise: Noise
    radius: float
    alpha: float
    max_n: int
    total_variation: float = 0.0
    design: SequentialDesign = PRESENT_DESIGN
    mode: ClassVar[str] = "radius"

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_noise(self.noise))
        self._check_reach(self.radius)

    @property
    def decided_radii(self) -> tuple[float, ...]:
        return (self.radius,)


@dataclass(frozen=True)
class GridRule(_TestingRule):
    """Decides for each radius of a grid whether the class holds within it.

        GridRule(Gaussian(0.25), [0.0, 0.25, 0.5], 0.001, 10_000)

    All answers are valid together at alpha. The certified radius is the largest one that is shown.
    Put 0 into the grid to separate images whose class holds at the image itself from abstentions.
    Radii beyond what max_n unanimous votes show are never certified, as in the published protocol.
    ValueError if these are all radii.

    design: where the tests look and how each spends alpha.
    """

    noise: Noise
    radii: Sequence[float]
    alpha: float
    max_n: int
    total_variation: float = 0.0
    design: SequentialDesign = PRESENT_DESIGN
    mode: ClassVar[str] = "grid"

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_noise(self.noise))
        if not len(self.radii):
            raise ValueError("expected at least one radius, got none")
        object.__setattr__(
            self, "radii", tuple(sorted({check_radius(radius) for radius in self.radii}))
        )
        self._check_reach(self.radii[0])

    @cached_property
    def decided_radii(self) -> tuple[float, ...]:
        return tuple(radius for radius in self.radii if self._needed(radius) <= self.max_n)


@dataclass(frozen=True)
class AnytimeRule(StoppingRule):
    """The full radius up to a tolerance.

        AnytimeRule(Gaussian(0.25), 0.001, 10_000, tolerance=0.01)

    It stops once max_n samples promise no more than ``tolerance`` above the present radius. Each
    look has a Clopper-Pearson bound of its own. The last one has ``final_share`` of alpha, and the
    others share the rest equally. The largest radius counts.

    The promise of max_n samples is the radius at the present share of hits. Where nothing is
    certified yet, it is the radius of an upper bound on p. This bound errs for 1 % of the images
    over all looks.
    """

    noise: Noise
    alpha: float
    max_n: int
    tolerance: float
    total_variation: float = 0.0
    final_share: float = 0.8
    mode: ClassVar[str] = "anytime"

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise", check_noise(self.noise))
        check_n(self.max_n, self.levels[-1])
        check_total_variation(self.total_variation)
        if not (math.isfinite(self.tolerance) and self.tolerance > 0.0):
            raise ValueError(
                f"expected a tolerance > 0 in units of the radius, got {self.tolerance!r}; 0.01 "
                "is usual"
            )

    @cached_property
    def looks(self) -> tuple[int, ...]:
        return default_looks(self.max_n)

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The failure probability of each look's bound; their sum is alpha."""
        return spending(self.alpha, len(self.looks), self.final_share)

    def _radius(self, look: int, hits: int) -> float:
        size, level = self.looks[look], self.levels[look]
        return radius_from_counts(
            hits, size, self.noise, level, total_variation=self.total_variation
        )

    def _promise(self, look: int, hits: int, current: float) -> float:
        """The radius that sampling on to max_n may lead to."""
        size, last = self.looks[look], len(self.looks) - 1
        if current > 0.0:
            return self._radius(last, round(hits * self.max_n / size))
        return check_noise(self.noise).radius(upper_confidence_bound(hits, size, _GIVE_UP / last))

    def _judge(self, hits: Hits) -> Decision | None:
        look, count = hits.size - 1, int(hits[-1])
        current = self._radius(look, count)
        if (
            look < len(self.looks) - 1
            and self._promise(look, count, current) - current > self.tolerance
        ):
            return None
        radius = max(current, *(self._radius(k, int(hits[k])) for k in range(look)), 0.0)
        return Decision(radius, radius > 0.0, self.looks[look])


def stopping_rule(
    mode: str,
    noise: Noise,
    n: int,
    alpha: float,
    *,
    radius: float | None = None,
    radii: Sequence[float] | None = None,
    tolerance: float | None = None,
    total_variation: float = 0.0,
    design: SequentialDesign | None = None,
) -> StoppingRule:
    """The rule of a mode by name.

        stopping_rule("radius", Gaussian(0.25), 10_000, 0.001, radius=0.5)

    noise: a distribution, or the sigma of Gaussian noise.
    n: the largest number of samples per image.
    radius, radii, tolerance: exactly the option that the mode needs. It is ``radius`` for "radius",
        ``radii`` for "grid", ``tolerance`` for "anytime", and none for "fixed".
    design: of the tests of modes "radius" and "grid"; None takes the present one.

    ValueError for another mode, and for other options than these.
    """
    options = {"radius": radius, "radii": radii, "tolerance": tolerance}
    given = {name for name, value in options.items() if value is not None}
    if mode not in MODE_OPTIONS:
        raise ValueError(f"expected a mode among {', '.join(MODE_OPTIONS)}, got {mode!r}")
    if given != MODE_OPTIONS[mode]:
        wanted, got = (
            ", ".join(sorted(names)) or "no option" for names in (MODE_OPTIONS[mode], given)
        )
        fits = [name for name, needed in MODE_OPTIONS.items() if given and needed == given]
        remedy = f"choose mode {fits[0]!r}, or " if fits else ""
        raise ValueError(
            f"expected {wanted} for mode {mode!r}, got {got}; {remedy}give just what the mode needs"
        )
    if design is not None and mode not in DESIGNED_MODES:
        raise ValueError(f"expected no design for mode {mode!r}, got {design}; leave it out")
    chosen = PRESENT_DESIGN if design is None else design
    if radius is not None:
        return RadiusRule(noise, radius, alpha, n, total_variation, chosen)
    if radii is not None:
        return GridRule(noise, radii, alpha, n, total_variation, chosen)
    if tolerance is not None:
        return AnytimeRule(noise, alpha, n, tolerance, total_variation)
    return FixedRule(noise, n, alpha, total_variation)
