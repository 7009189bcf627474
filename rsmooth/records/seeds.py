"""Methods compared over several trainings: intervals that cover the seeds and the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from rsmooth.records.log import CertificationLog, check_log, check_same_images
from rsmooth.records.metrics import certified_radii
from rsmooth.records.statement import check_one_group


@dataclass(frozen=True)
class SeedComparison:
    """A difference in average certified radius over S pairs of trainings on the same N images.

        compare_seeds(gaussian_logs, macer_logs).interval   # (0.021, 0.034)

    difference: second minus first. error: its standard error, over seeds and images. interval: its
        95 % interval. each: the difference of each pair, (S,).
    """

    difference: float
    error: float
    interval: tuple[float, float]
    each: tuple[float, ...]


def compare_seeds(
    first: Sequence[CertificationLog], second: Sequence[CertificationLog]
) -> SeedComparison:
    """Compare two methods by trainings from the same seeds, image by image.

        compare_seeds([read_log(f"runs/gaussian-{s}") for s in (0, 1, 2)], macer_logs)

    first, second: one log for each seed, at least two, in the same order.

    The gains G_si of seed s and image i are taken as mean + seed effect + image effect + rest, all
    independent. The variance of their mean is at most (MS_seeds + MS_images) / (S N) by the mean
    squares of the two-way analysis of variance. The interval is Student's with Satterthwaite's
    degrees of freedom. RecordError unless all logs are on the same images and state one norm and
    one kind. ValueError for fewer than two pairs.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(
            "expected one log of each method for each of at least two seeds, got "
            f"{len(first)} and {len(second)}; certify the trainings that are missing"
        )
    logs = [*first, *second]
    check_one_group([check_log(log).statement for log in logs])
    check_same_images(logs)
    gains = np.stack(
        [certified_radii(b) - certified_radii(a) for a, b in zip(first, second, strict=True)]
    )
    seeds, images = gains.shape
    of_seeds = images * float(np.var(gains.mean(axis=1), ddof=1))
    of_images = seeds * float(np.var(gains.mean(axis=0), ddof=1)) if images > 1 else 0.0
    error = math.sqrt((of_seeds + of_images) / gains.size)
    spread = of_seeds**2 / (seeds - 1) + of_images**2 / max(images - 1, 1)
    freedom = (of_seeds + of_images) ** 2 / spread if spread > 0 else float(seeds - 1)
    half = float(scipy.stats.t.ppf(0.975, freedom)) * error
    mean = float(gains.mean())
    each = tuple(float(gain) for gain in gains.mean(axis=1))
    return SeedComparison(mean, error, (mean - half, mean + half), each)
