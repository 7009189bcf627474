"""Noise distributions as values: what they certify, how they are rounded, how they are drawn.

Only the distribution knows its formulas. It knows neither images nor networks, and imports no
torch. So proofs and reports can use it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rsmooth.noise.thresholds import (
    BITS,
    Thresholds,
    decimal_scale,
    exponential_tail,
    gaussian_tail,
    thresholds,
)
from rsmooth.plumbing.numbers import check_integer, check_radius, check_scale
from rsmooth.registry import NOISES

Floats = NDArray[np.float64]
Norm = Literal["l1", "l2", "linf"]

# Relative and absolute slack of a radius, the latter in units of the scale: above the rounding of
# the formulas below, and small beside any radius of interest.
RELATIVE_MARGIN = 1e-12
ABSOLUTE_MARGIN = 1e-12
SMALLEST_MISS = 1e-15  # a smaller probability of the other classes is numerically none

CORRECT = "correct the formulas until rsmooth.testing.check_noise accepts them"


@dataclass(frozen=True)
class NoiseDistribution(ABC):
    """The distribution of the noise: independent values of one distribution, symmetric about 0.

        noise = Gaussian(0.25)
        noise.radius(0.99)      # 0.58...: certified l2 radius where the class has probability 0.99
        noise.share(0.5)        # 0.977...: the probability that a radius of 0.5 needs

    A subclass has one field, its scale in [0, 1] pixel units: finite and >= 0, where 0 is no noise.
    ``norm`` is that of the radii. A subclass gives five formulas, all of scale 1.
    ``radius_of_miss`` and ``miss_of_radius`` are inverse to each other. ``upper_tail`` rounds the
    noise to the 8-bit grid. ``from_words`` and ``fill_standard`` draw it in floating point.
    Registered in ``NOISES``, the distribution works everywhere.
    """

    name: ClassVar[str]
    norm: ClassVar[Norm]

    def __post_init__(self) -> None:
        object.__setattr__(self, self.scale_name, check_scale(self.scale_value, self.scale_name))

    @abstractmethod
    def radius_of_miss(self, miss: Floats) -> Floats:
        """The radius where all other classes together have probability ``miss`` <= 1/2."""

    @abstractmethod
    def miss_of_radius(self, radius: float) -> float:
        """The probability of the other classes at which ``radius`` is just certified; 0 if never.

        It exceeds the exact value by no more than relative rounding.
        """

    @abstractmethod
    def upper_tail(self, x: Fraction) -> int:
        """P(noise > x) for x >= 0 in units of 2^-BITS, with an error below ``thresholds.SLACK``."""

    @abstractmethod
    def from_words(self, first: Any, second: Any) -> tuple[Any, Any]:
        """Two values from two uniform 32-bit words: int64 tensors of one shape -> float64."""

    @abstractmethod
    def fill_standard(self, tensor: Any, generator: Any) -> Any:
        """Fill a floating tensor with fresh values in place, drawn by torch's generator."""

    @property
    def scale_name(self) -> str:
        """The name of the one field: sigma, half_width, scale."""
        return fields(self)[0].name

    @property
    def scale_value(self) -> float:
        """The value of the one field, in [0, 1] pixel units."""
        return float(getattr(self, self.scale_name))

    @property
    def decimal(self) -> Decimal:
        """The scale as the decimal that it prints as, so that 0.1 means 1/10; ValueError for 0."""
        return decimal_scale(self.scale_value, self.scale_name)

    @overload
    def radius(self, p_lower: float) -> float: ...
    @overload
    def radius(self, p_lower: Floats) -> Floats: ...
    def radius(self, p_lower: float | Floats) -> float | Floats:
        """The certified radius where the class has at least probability ``p_lower``; 0 up to 1/2.

            Gaussian(0.25).radius(0.99)      # 0.58...

        p_lower: a number or an array in [0, 1]; ValueError outside.

        In the norm ``norm`` and rounded down, for continuous noise.
        """
        share = np.asarray(p_lower, dtype=np.float64)
        if not ((share >= 0) & (share <= 1)).all():
            raise ValueError(f"expected probabilities within [0, 1], got {p_lower!r}")
        found = self.radius_rounded_down(1.0 - share)
        return float(found) if found.ndim == 0 else found

    def radius_rounded_down(
        self, miss: Floats, relative: float | Floats = RELATIVE_MARGIN
    ) -> Floats:
        """``radius_of_miss`` at this scale, less a slack; 0 where others may reach 1/2.

        relative: the slack as a share of the radius, for a ``miss`` that is less exact.

        ValueError where ``radius_of_miss`` gives NaN, or infinity for a ``miss`` above 0.
        """
        unscaled = np.asarray(self.radius_of_miss(np.minimum(miss, 0.5)), dtype=np.float64)
        if (
            unscaled.shape != np.shape(miss)
            or np.isnan(unscaled).any()
            or np.isinf(unscaled[np.greater(miss, 0.0)]).any()
        ):
            raise ValueError(
                f"expected a finite radius per probability from radius_of_miss of {self}, got "
                f"{unscaled}; {CORRECT}"
            )
        if self.scale_value == 0.0:  # infinite radii included, which times 0 would be NaN
            return np.zeros_like(unscaled)
        radius = self.scale_value * unscaled
        slack = ABSOLUTE_MARGIN * max(self.scale_value, 1.0)
        return np.asarray(np.maximum(radius * (1.0 - relative) - slack, 0.0))

    def share(self, radius: float, *, total_variation: float = 0.0) -> float:
        """The probability above which a class holds within ``radius``, rounded up; 1.0 for never.

            Gaussian(0.25).share(0.5)        # 0.977...

        total_variation: how far the noise is from the ideal one, at least 0; it is added.

        ValueError for noise of scale 0, and where ``miss_of_radius`` is not the inverse of
        ``radius_of_miss``.
        """
        if not total_variation >= 0.0:
            raise ValueError(f"expected a total variation >= 0, got {total_variation!r}")
        unscaled = check_radius(radius) / float(self.decimal)  # which refuses 0
        exact = self.miss_of_radius(unscaled)
        miss = exact * (1.0 - RELATIVE_MARGIN) - total_variation
        if not miss > SMALLEST_MISS:
            return 1.0
        back = float(self.radius_of_miss(np.float64(exact)))
        if not math.isclose(back, unscaled, rel_tol=1e-6, abs_tol=1e-6):
            raise ValueError(
                f"expected miss_of_radius and radius_of_miss of {self} to be inverse to each "
                f"other, got {back!r} back for {unscaled!r}; {CORRECT}"
            )
        return math.nextafter(1.0 - miss, 1.0)

    def thresholds(self) -> Thresholds:
        """How the noise is rounded to the 8-bit grid; ValueError where it would leave 16 bits."""
        return thresholds(self)

    def total_variation(self, d: int) -> float:
        """An upper bound on the distance of the rounded noise from the ideal one, over d values.

            Gaussian(0.25).total_variation(3 * 32 * 32)

        Rounded up, at most 1. It has to be subtracted from a bound on a probability.
        """
        if check_integer(d, "number of values d", 3072) < 0:
            raise ValueError(f"expected d >= 0 values, got {d}")
        each = self.thresholds().total_variation
        return min(1.0, math.nextafter(float(d * each), math.inf)) if d else 0.0

    def fill(self, tensor: Any, generator: Any = None) -> Any:
        """Fill a floating tensor with fresh noise in place, drawn by torch's generator.

        Gaussian(0.25).fill(torch.empty(8, 3, 32, 32))
        """
        return self.fill_standard(tensor, generator).mul_(self.scale_value)

    def record(self) -> dict[str, Any]:
        """The registry name and the scale as plain values; ``noise_of_record`` reads them back."""
        return {"name": self.name, self.scale_name: self.scale_value}

    def __str__(self) -> str:
        return f"{self.name} {self.scale_name}={self.scale_value:g}"


@NOISES.register("gaussian")
@dataclass(frozen=True)
class Gaussian(NoiseDistribution):
    """Gaussian noise N(0, sigma^2), whose certified l2 radius is sigma * Phi^-1(p).

        Gaussian(0.25).radius(0.99)      # 0.58...

    sigma: its standard deviation per value, in [0, 1] pixel units.

    Cohen et al. 2019 (arXiv:1902.02918), theorem 1, with all other classes as one.
    """

    name: ClassVar[str] = "gaussian"
    norm: ClassVar[Norm] = "l2"
    sigma: float

    def radius_of_miss(self, miss: Floats) -> Floats:
        return np.asarray(-special.ndtri(miss))

    def miss_of_radius(self, radius: float) -> float:
        return float(special.ndtr(-radius))

    def upper_tail(self, x: Fraction) -> int:
        return gaussian_tail(x)

    def from_words(self, first: Any, second: Any) -> tuple[Any, Any]:
        # Box and Muller 1958; first + 1 is within 1..2^32, so that no log is of 0.
        length = (first + 1).double().mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = second.double().mul_(2.0 * math.pi * 2.0**-32)
        return length * angle.cos(), length * angle.sin()

    def fill_standard(self, tensor: Any, generator: Any) -> Any:
        return tensor.normal_(generator=generator)


@NOISES.register("uniform")
@dataclass(frozen=True)
class Uniform(NoiseDistribution):
    """Uniform noise on [-half_width, half_width], whose l1 radius is 2 half_width (p - 1/2).

        Uniform(0.5).radius(0.99)        # 0.4899...

    half_width: in [0, 1] pixel units.

    Lee et al. 2019 (arXiv:1906.04948). Yang et al. 2020 (arXiv:2002.08118) show that it is tight.
    """

    name: ClassVar[str] = "uniform"
    norm: ClassVar[Norm] = "l1"
    half_width: float

    def radius_of_miss(self, miss: Floats) -> Floats:
        return 2.0 * (0.5 - miss)

    def miss_of_radius(self, radius: float) -> float:
        return max(0.5 - 0.5 * radius - 2.0**-53, 0.0)  # radius comes rounded, and 1/2 cancels

    def upper_tail(self, x: Fraction) -> int:
        return max(math.floor((1 - x) / 2 * (1 << BITS)), 0)

    def from_words(self, first: Any, second: Any) -> tuple[Any, Any]:
        return (first.double() + 0.5) * 2.0**-31 - 1.0, (second.double() + 0.5) * 2.0**-31 - 1.0

    def fill_standard(self, tensor: Any, generator: Any) -> Any:
        return tensor.uniform_(-1.0, 1.0, generator=generator)


@NOISES.register("laplace")
@dataclass(frozen=True)
class Laplace(NoiseDistribution):
    """Laplace noise of density exp(-|e| / scale) / (2 scale); l1 radius -scale log(2 (1 - p)).

        Laplace(0.2).radius(0.99)        # 0.78...

    scale: in [0, 1] pixel units.

    Teng et al. 2020 ("l1 adversarial robustness certificates: a randomized smoothing approach").
    Yang et al. 2020 (arXiv:2002.08118) show that it is tight.
    """

    name: ClassVar[str] = "laplace"
    norm: ClassVar[Norm] = "l1"
    scale: float

    def radius_of_miss(self, miss: Floats) -> Floats:
        with np.errstate(divide="ignore"):  # infinite where no other class is possible
            return np.asarray(-np.log(2.0 * miss))

    def miss_of_radius(self, radius: float) -> float:
        return 0.5 * math.exp(-radius)

    def upper_tail(self, x: Fraction) -> int:
        half: int = exponential_tail(x) // 2
        return half

    def from_words(self, first: Any, second: Any) -> tuple[Any, Any]:
        sides = [(words.double() + 0.5) * 2.0**-31 - 1.0 for words in (first, second)]
        near, far = (-side.sign() * (-side.abs()).log1p() for side in sides)
        return near, far

    def fill_standard(self, tensor: Any, generator: Any) -> Any:
        other = tensor.clone().exponential_(generator=generator)
        return tensor.exponential_(generator=generator).sub_(other)


def noise_of_record(record: Mapping[str, Any]) -> NoiseDistribution:
    """The distribution that ``NoiseDistribution.record`` wrote; ValueError for anything else.

    noise_of_record({"name": "gaussian", "sigma": 0.25})      # Gaussian(0.25)
    """
    options = dict(record)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in NOISES:
        raise ValueError(f"expected a noise among {', '.join(NOISES.names())}, got {record!r}")
    try:
        noise: NoiseDistribution = NOISES.create(name, **options)
    except TypeError as error:  # no scale, another field, or a scale that is no number
        raise ValueError(f"expected a noise and its one scale, got {record!r} ({error})") from None
    return noise


def as_noise(noise: NoiseDistribution | float | str) -> NoiseDistribution:
    """The distribution itself; a number is the sigma of Gaussian noise."""
    return noise if isinstance(noise, NoiseDistribution) else Gaussian(float(noise))
