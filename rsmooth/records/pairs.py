"""Runs compared image by image: which images each certifies and the other does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from rsmooth.records.log import (
    CertificationLog,
    FloatArray,
    IntArray,
    check_log,
    check_same_images,
)
from rsmooth.records.metrics import checked_radii
from rsmooth.records.statement import check_one_group


def changes(
    first: CertificationLog, second: CertificationLog, radii: ArrayLike
) -> tuple[IntArray, IntArray]:
    """How many images only the second certifies at ``radii`` (R,), and how many only the first.

        gained, lost = changes(read_log("runs/a"), read_log("runs/b"), [0.0, 0.25])

    The logs are of the same images, in one norm (``check_same_images``, ``check_one_group``).
    ValueError for radii that are negative or NaN.
    """
    wanted = checked_radii(radii)
    before, after = _held_until(first), _held_until(second)
    return _between(before, after, wanted), _between(after, before, wanted)


def _held_until(log: CertificationLog) -> FloatArray:
    """The largest radius (N,) at which each image is certified; -1 where it is wrong."""
    return np.where(check_log(log).correct, log.radius, -1.0)


def _between(low: FloatArray, high: FloatArray, radii: FloatArray) -> IntArray:
    """For each radius, the number of images with low < radius <= high."""
    grown = high > low
    ends = (np.sort(values[grown]) for values in (high, low))
    holds = [len(end) - np.searchsorted(end, radii, side="left") for end in ends]
    return np.asarray(holds[0] - holds[1], dtype=np.int64)


def difference(gained: IntArray, lost: IntArray, images: int) -> tuple[FloatArray, FloatArray]:
    """The difference of two certified accuracies (R,) and its paired standard error.

        difference(*changes(first, second, radii), len(first))

    gained, lost: (R,), as of ``changes``. images: at least two.
    """
    mean = (gained - lost) / images
    variance = np.maximum((gained + lost) - images * mean**2, 0.0) / (images - 1)
    return mean, np.sqrt(variance / images)


def mcnemar(gained: IntArray, lost: IntArray) -> FloatArray:
    """Exact two-sided p-value that gains and losses are equally likely; 1 without changes.

    mcnemar(np.array([8]), np.array([1]))      # array([0.0390625])
    """
    p: FloatArray = np.minimum(
        2.0 * scipy.stats.binom.cdf(np.minimum(gained, lost), gained + lost, 0.5), 1.0
    )
    return p


def holm(p: ArrayLike) -> FloatArray:
    """p-values of any shape, corrected for their number as Holm (1979) does.

        holm([0.01, 0.04, 0.03])      # array([0.03, 0.06, 0.06])

    Rejecting those below a level makes any false rejection at most that likely, whatever the
    dependence between the tests. NaN marks what was not tested; it stays, and is not counted.
    """
    given = np.asarray(p, dtype=np.float64)
    flat = given.ravel()
    order = np.argsort(flat, kind="stable")  # NaN last
    tested = int((~np.isnan(flat)).sum())
    adjusted = np.full(flat.shape, np.nan)
    steps = flat[order[:tested]] * np.arange(tested, 0, -1)
    adjusted[order[:tested]] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.reshape(given.shape)


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Every pair of P logs on the same images: arrays (P, P, R), second index minus first.

        compare_all([first, second, third], [0.0, 0.25]).adjusted[0, 1]

    difference, error: of certified accuracy, with its paired standard error.
    p, adjusted: McNemar's exact p-value, and that of Holm over all pairs and radii; NaN on the
        diagonal, and where a pair was not compared.
    tests: how many there were.
    """

    difference: FloatArray
    error: FloatArray
    p: FloatArray
    adjusted: FloatArray
    tests: int


def compare_all(
    logs: Sequence[CertificationLog], radii: Sequence[float], decided: ArrayLike | None = None
) -> AllPairs:
    """Compare each log with each other one, corrected for the number of comparisons.

        compare_all([read_log(path) for path in paths], [0.0, 0.25, 0.5])

    decided: (P, R), whether a log decided a radius; all of them by default. A pair is compared at
        radii that both decided.

    RecordError unless all are on the same images and state one norm and one kind.
    """
    check_one_group([check_log(log).statement for log in logs])
    check_same_images(logs)
    known = np.ones((len(logs), len(radii)), dtype=bool) if decided is None else np.asarray(decided)
    shape = (len(logs), len(logs), len(radii))
    means, errors, p = np.zeros(shape), np.zeros(shape), np.full(shape, np.nan)
    for one in range(len(logs)):
        for other in range(one + 1, len(logs)):
            both = known[one] & known[other]
            gained, lost = changes(logs[one], logs[other], radii)
            mean, error = difference(gained, lost, len(logs[one]))
            means[one, other], means[other, one] = mean, -mean
            errors[one, other] = errors[other, one] = error
            p[one, other] = np.where(both, mcnemar(gained, lost), np.nan)
    adjusted = holm(p)  # of the upper half: each pair once
    tests = int((~np.isnan(p)).sum())
    below = np.tril_indices(len(logs), -1)
    for values in (p, adjusted):
        values[below] = values.transpose(1, 0, 2)[below]
    return AllPairs(means, errors, p, adjusted, tests)
