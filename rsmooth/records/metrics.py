"""Certified accuracy, average certified radius, and the numbers to read beside them.

All rates are fractions. Radii are in the norm that the log states (``log.statement.norm``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_alpha
from rsmooth.records.log import (
    ABSTAIN,
    CertificationLog,
    FloatArray,
    IntArray,
    check_log,
    check_same_images,
    no_votes,
)
from rsmooth.records.norms import covering_radius
from rsmooth.records.statement import check_one_group


def certified_accuracy(log: CertificationLog, radii: ArrayLike) -> FloatArray:
    """The fraction of images classified correctly with a certified radius >= r.

        certified_accuracy(read_log("sigma_0.25"), [0.0, 0.25, 0.5])     # array([0.748, ...])

    radii: of any shape, in [0, 1] pixel units and in the norm of ``log.statement``.

    At r = 0 it is the clean accuracy of the smoothed classifier. An abstention counts as wrong.
    ValueError for radii that are negative or NaN, RecordError for an empty log, TypeError for
    anything but a log.
    """
    wanted = checked_radii(radii)
    earned = np.sort(not_empty(log).radius[log.correct])
    return np.asarray((len(earned) - np.searchsorted(earned, wanted, side="left")) / len(log))


def checked_radii(radii: ArrayLike) -> FloatArray:
    """Radii of any shape as numbers; ValueError for negative ones and NaN."""
    wanted = np.asarray(radii, dtype=np.float64)
    if not (wanted >= 0).all():
        raise ValueError(f"expected radii >= 0 in [0,1] pixel units, got {radii!r}")
    return wanted


def certified_radii(log: CertificationLog) -> FloatArray:
    """The radius (N,) that counts for each image: 0 where the answer is wrong or abstained."""
    return np.where(check_log(log).correct, log.radius, 0.0)


def average_certified_radius(log: CertificationLog) -> float:
    """The mean certified radius over all images; wrong and abstained ones count 0.

        average_certified_radius(read_log("sigma_0.25"))      # 0.429

    It weighs easy images most, and grows with n. So read it beside certified accuracy and
    ``label_probability``. Zhai et al. 2020 (MACER, arXiv:2001.02378).
    """
    return float(certified_radii(not_empty(log)).mean())


def linf_certified_accuracy(
    log: CertificationLog, epsilons: ArrayLike, dimension: int
) -> FloatArray:
    """Certified accuracy at linf radii, by containment from the norm that the log states.

        linf_certified_accuracy(log, [2 / 255], 3072)      # of an l2 log: at 2/255 * sqrt(3072)

    epsilons: linf radii of any shape.
    dimension: values per image, C * H * W.

    The radius asked of the log is rounded up, by ``norms.covering_radius``. So a run of mode
    "radius" has to ask for that one. An linf log answers for its own radii, whatever the dimension.
    """
    needed = [
        covering_radius(epsilon, dimension, "linf", target=check_log(log).statement.norm)
        for epsilon in np.ravel(epsilons).tolist()
    ]
    return certified_accuracy(log, np.reshape(needed, np.shape(epsilons)))


def best_runs(logs: Sequence[CertificationLog], radii: ArrayLike) -> IntArray:
    """Which of ``logs`` has the highest certified accuracy at each of ``radii`` (R,).

        best_runs([read_log("sigma_0.25"), read_log("sigma_0.50")], [0.25, 1.0])     # array([0, 1])

    Ties go to the higher clean accuracy, then to the first log. A log that is not sound never wins.
    RecordError unless all are on the same images and state one norm and one kind (see ``in_norm``).
    RecordError too where none is sound.
    """
    if not logs:
        raise RecordError("expected at least one log, got none")
    check_one_group([check_log(log).statement for log in logs])
    check_same_images(logs)
    sound = np.array([log.statement.sound for log in logs])
    if not sound.any():
        raise RecordError("expected at least one log whose certificates are sound, got none")
    accuracy = np.stack([certified_accuracy(log, radii) for log in logs])
    accuracy[~sound] = -1.0
    clean = np.array([certified_accuracy(log, 0.0) for log in logs])
    order = np.lexsort((-clean, ~sound))
    return np.asarray(order[np.argmax(accuracy[order], axis=0)], dtype=np.int64)


def envelope(logs: Sequence[CertificationLog], radii: ArrayLike) -> FloatArray:
    """The highest certified accuracy of any of ``logs`` at each of ``radii`` (R,).

        envelope([read_log("sigma_0.25"), read_log("sigma_0.50")], [0.0, 0.25, 1.0])

    ``best_runs`` says which run it is of, and what is refused. The run is chosen on the same
    images, which makes the envelope too high. Logs that are not sound do not enter.
    """
    winners = best_runs(logs, radii)
    accuracy = np.stack([certified_accuracy(log, radii) for log in logs])
    return np.asarray(np.take_along_axis(accuracy, winners[None], axis=0)[0])


def high_probability_accuracy(
    log: CertificationLog, radii: ArrayLike, alpha: float | None = None, failure: float = 1e-3
) -> FloatArray:
    """A lower bound on the true certified accuracy over these images, at ``radii`` of any shape.

        high_probability_accuracy(log, [0.0, 0.25], alpha=0.001)

    alpha: of each certificate. None takes that of the statement. Deterministic certificates lose
        nothing.
    failure: the bound holds with probability 1 - failure.

    Each certificate is wrong with probability at most alpha, independently of the others. So at
    most a quantile of Bin(N, alpha) are wrong at once. The bound is accuracy - quantile / N, at
    least 0. (The published code's formula falls short of a Bernstein bound by a factor of sqrt(2):
    at N = 10,000 and alpha = failure = 0.001 it fails with probability 0.0016.) RecordError where
    alpha is not known.
    """
    accuracy = certified_accuracy(log, radii)
    if alpha is None and log.statement.kind == "deterministic":
        return accuracy
    level = log.statement.alpha if alpha is None else alpha
    if level is None:
        raise RecordError("expected alpha in the record of the log, got none; say it with alpha")
    most = scipy.stats.binom.ppf(1.0 - check_alpha(failure), len(log), check_alpha(level))
    return np.asarray(np.maximum(accuracy - most / len(log), 0.0))


def constant_classifier_accuracy(
    log: CertificationLog, radii: ArrayLike, largest_radius: float
) -> FloatArray:
    """What answering the most frequent class would certify: its share, up to ``largest_radius``.

        constant_classifier_accuracy(log, [0.0, 0.25], Run("a", log).largest_radius)

    largest_radius: in the norm of the log. It is what unanimous votes certify, or the largest
        radius that was asked for where certificates are deterministic. ``rsmooth.report.Run``
        knows it.

    The average radius of this classifier is share * largest_radius. A method below this line has
    learnt nothing.
    """
    share = np.unique(not_empty(log).label, return_counts=True)[1].max() / len(log)
    return np.where(checked_radii(radii) <= largest_radius, share, 0.0)


def abstention_rate(log: CertificationLog) -> float:
    """The fraction of images on which the smoothed classifier abstained.

    abstention_rate(read_log("sigma_0.25"))      # 0.086
    """
    return float((not_empty(log).predict == ABSTAIN).mean())


def predicted_classes(log: CertificationLog) -> int:
    """The number of predicted classes, without abstentions; 1 shows a collapsed model."""
    return len(np.unique(check_log(log).predict[log.predict != ABSTAIN]))


def label_probability(log: CertificationLog) -> FloatArray:
    """The estimated probability (N,) of the true class under noise: votes for it / samples.

        np.quantile(label_probability(read_log("runs/smoothadv")), [0.05, 0.5])

    Its distribution shows what ACR hides: how many images are barely won, and how many barely lost
    (Sun et al. 2025, arXiv:2410.06895). It is 0 for a class that the network does not have. It is
    biased where votes stopped once they decided, as in all modes but "fixed".
    RecordError for a log without counts.
    """
    counts = check_log(log).counts
    if counts is None or log.samples is None:
        raise no_votes(log)
    known = log.label < counts.shape[1]
    hits = counts[np.arange(len(log)), np.where(known, log.label, 0)]
    return np.where(known, hits, 0) / log.samples


def base_accuracy_under_noise(log: CertificationLog) -> float:
    """Accuracy of the base classifier on noisy images: the mean of ``label_probability``.

    base_accuracy_under_noise(read_log("runs/smoothadv"))
    """
    return float(label_probability(log).mean())


def majority_accuracy(log: CertificationLog) -> float:
    """Accuracy of the majority vote of the smoothed classifier, certified or not.

        majority_accuracy(read_log("runs/smoothadv"))

    Ties go to the lowest class. It exceeds ``certified_accuracy`` at r = 0 by the images whose vote
    was right but too close. RecordError for a log without counts.
    """
    counts = check_log(log).counts
    if counts is None:
        raise no_votes(log)
    return float((counts.argmax(axis=1) == not_empty(log).label).mean())


def label_probability_quantiles(
    log: CertificationLog, levels: ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95)
) -> FloatArray:
    """Quantiles of ``label_probability`` at ``levels`` (L,) in [0, 1]."""
    return np.asarray(np.quantile(label_probability(log), np.asarray(levels)))


def not_empty(log: CertificationLog) -> CertificationLog:
    """A log with at least one image; RecordError for any other."""
    if not len(check_log(log)):
        raise RecordError("expected a log with at least one image, got none")
    return log
