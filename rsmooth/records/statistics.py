"""How far to trust certified accuracies: errors, intervals, comparisons, false certificates.

The images are taken as a sample of the distribution that the claim is about. The error of the
certification itself, alpha per image, is added by ``false_certificates``. Radii are in the norm
that the logs state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_alpha, check_integer
from rsmooth.records.log import (
    CertificationLog,
    FloatArray,
    check_log,
    check_same_images,
)
from rsmooth.records.metrics import (
    average_certified_radius,
    certified_accuracy,
    certified_radii,
    not_empty,
)
from rsmooth.records.pairs import changes, difference, mcnemar
from rsmooth.records.statement import check_one_group

# With fewer images, differences of a few points between methods may be chance.
SMALL_SAMPLE = 2000


def accuracy_standard_error(log: CertificationLog, radii: ArrayLike) -> FloatArray:
    """Standard error of ``certified_accuracy`` at ``radii`` (R,): sqrt(p (1 - p) / N)."""
    rate = certified_accuracy(log, radii)
    return np.sqrt(rate * (1.0 - rate) / len(log))


def radius_standard_error(log: CertificationLog) -> float:
    """Standard error of ``average_certified_radius``: deviation / sqrt(N); needs two images."""
    return _standard_error(certified_radii(log))


def accuracy_interval(
    log: CertificationLog, radii: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Wilson's two-sided score interval for certified accuracy: lower and upper ends, each (R,).

        low, high = accuracy_interval(read_log("sigma_0.25"), [0.0, 0.25, 0.5])

    radii: (R,), in the norm of the log.
    confidence: in (0, 1).
    """
    return wilson_interval(certified_accuracy(log, radii), len(log), confidence)


def wilson_interval(
    rate: ArrayLike, n: int, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Wilson's two-sided score interval for shares ``rate`` (R,) of ``n`` images.

    low, high = wilson_interval([0.748], 500)      # 0.708, 0.784
    """
    rate = np.asarray(rate, dtype=np.float64)
    z = float(scipy.stats.norm.isf((1.0 - _check_confidence(confidence)) / 2.0))
    middle = (rate + z**2 / (2 * n)) / (1.0 + z**2 / n)
    half = z / (1.0 + z**2 / n) * np.sqrt(rate * (1.0 - rate) / n + z**2 / (4 * n**2))
    # In exact arithmetic the interval holds the rate, also at no hits and at all hits, where an end
    # is 0 or 1. Rounding must not push it off.
    low, high = np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
    return np.minimum(low, rate), np.maximum(high, rate)


def radius_interval(
    log: CertificationLog, confidence: float = 0.95, *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval for the average certified radius.

        low, high = radius_interval(read_log("sigma_0.25"))

    seed: of the resampling. RecordError for an empty log.
    """
    return _bootstrap_mean(certified_radii(not_empty(log)), confidence, resamples, seed)


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Second run minus first on the same N images; arrays are (R,), one value per radius.

        compare(read_log("runs/a"), read_log("runs/b"), [0.0, 0.25]).accuracy

    accuracy, accuracy_error, accuracy_p: difference in certified accuracy, its paired standard
        error, and McNemar's exact two-sided p-value.
    radius, radius_error, radius_p, radius_interval: difference in average certified radius, its
        paired standard error, the p-value of the paired t-test, and a 95 % bootstrap interval.
    """

    radii: FloatArray
    accuracy: FloatArray
    accuracy_error: FloatArray
    accuracy_p: FloatArray
    radius: float
    radius_error: float
    radius_p: float
    radius_interval: tuple[float, float]

    def weak_claims(self, z: float = 1.96, *, average: bool = True) -> list[str]:
        """The non-zero differences below ``z`` standard errors, in words: do not claim them.

        average: whether to include the average certified radius.
        """
        claims = [
            (f"certified accuracy at r={r:g}", 100 * d, 100 * e, " points")
            for r, d, e in zip(self.radii, self.accuracy, self.accuracy_error, strict=True)
        ]
        if average:
            claims.append(("average certified radius", self.radius, self.radius_error, ""))
        return [
            f"{name}: {difference:+.3g} ± {error:.2g}{unit} is within its error"
            for name, difference, error, unit in claims
            if 0.0 < abs(difference) < z * error
        ]


def compare(
    first: CertificationLog,
    second: CertificationLog,
    radii: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two runs image by image: second minus first, with the error of the difference.

        compare(read_log("runs/a"), read_log("runs/b"), [0.0, 0.25, 0.5])

    radii: (R,), in the norm of both logs.
    resamples, seed: of the bootstrap interval.

    RecordError, naming the difference, unless both are on the same images and state one norm and
    one kind. ``in_norm`` converts norms. ValueError for radii that are negative or NaN.
    """
    check_one_group([check_log(log).statement for log in (first, second)])
    check_same_images([first, second])
    wanted = np.atleast_1d(np.asarray(radii, dtype=np.float64))
    gains = certified_radii(second) - certified_radii(first)
    error = _standard_error(gains)
    gained, lost = changes(first, second, wanted)
    accuracy, accuracy_error = difference(gained, lost, len(first))
    return PairedComparison(
        radii=wanted,
        accuracy=accuracy,
        accuracy_error=accuracy_error,
        accuracy_p=mcnemar(gained, lost),
        radius=average_certified_radius(second) - average_certified_radius(first),
        radius_error=error,
        radius_p=_t_test(gains, error),
        radius_interval=_bootstrap_mean(gains, 0.95, resamples, seed),
    )


def false_certificates(images: int, alpha: float, level: float = 0.999) -> tuple[float, int]:
    """How many of ``images`` certificates may be false: expected number and ``level`` quantile.

        false_certificates(10_000, alpha=0.001)      # (10.0, 21)

    Each certificate is false with probability at most alpha. The quantile takes their noise as
    independent. ValueError for no images.
    """
    if check_integer(images, "images") < 1:
        raise ValueError(f"expected at least one image, got {images}")
    most = scipy.stats.binom.ppf(_check_confidence(level), images, check_alpha(alpha))
    return images * alpha, int(most)


def _check_confidence(confidence: float) -> float:
    value = float(confidence)
    if not 0.0 < value < 1.0:
        raise ValueError(
            f"expected a confidence in (0, 1), got {confidence!r}; give it e.g. as 0.95"
        )
    return value


def _t_test(gains: FloatArray, error: float) -> float:
    if error == 0.0:
        return float(not gains.any())
    return float(2.0 * scipy.stats.t.sf(abs(gains.mean()) / error, len(gains) - 1))


def _standard_error(values: FloatArray) -> float:
    if len(values) < 2:
        raise RecordError(f"expected at least two images for a standard error, got {len(values)}")
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _bootstrap_mean(
    values: FloatArray, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    if check_integer(resamples, "resamples") < 1:
        raise ValueError(f"expected resamples >= 1, got {resamples}; 2000 are customary")
    tail = (1.0 - _check_confidence(confidence)) / 2.0
    draw = np.random.default_rng(seed)
    chunk = max(1, 1_000_000 // len(values))  # bounds the memory, whatever the number of images
    sizes: Sequence[int] = [chunk] * (resamples // chunk) + [resamples % chunk]
    drawn = (draw.integers(len(values), size=(size, len(values))) for size in sizes)
    means = np.concatenate([values[chosen].mean(axis=1) for chosen in drawn])
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)
