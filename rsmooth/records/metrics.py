"""Certified accuracy, average certified radius, and what they should be read beside. All rates are
fractions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_alpha
from rsmooth.records.log import ABSTAIN, CertificationLog, FloatArray, IntArray, check_same_images
from rsmooth.records.norms import linf_to_l2


def certified_accuracy(log: CertificationLog, radii: ArrayLike) -> FloatArray:
    """Fraction of images classified correctly with a certified l2 radius >= r, for ``radii`` of any
    shape.

    At r = 0 the clean accuracy of the smoothed classifier; an abstention counts as wrong. Raises
    ValueError for radii that are negative or NaN, RecordError for an empty log.
    """
    wanted = np.asarray(radii, dtype=np.float64)
    if not (wanted >= 0).all():
        raise ValueError(f"expected radii >= 0 in [0,1] pixel units, got {radii!r}")
    earned = np.sort(_not_empty(log).radius[log.correct])
    return np.asarray((len(earned) - np.searchsorted(earned, wanted, side="left")) / len(log))


def certified_radii(log: CertificationLog) -> FloatArray:
    """The radius (N,) that each image earns: its certified radius, or 0 if the prediction is wrong
    or abstained.
    """
    return np.where(log.correct, log.radius, 0.0)


def average_certified_radius(log: CertificationLog) -> float:
    """Mean over all images of the certified radius, wrong and abstained ones counting 0 (Zhai et
    al. 2020, MACER).

    It weighs easy images most and grows with n; read it beside certified accuracy and
    ``label_probability``.
    """
    return float(certified_radii(_not_empty(log)).mean())


def linf_certified_accuracy(
    log: CertificationLog, epsilons: ArrayLike, dimension: int
) -> FloatArray:
    """Certified accuracy at linf radii by containment: the linf ball of epsilon lies in the l2 ball
    of epsilon sqrt(d).

    ``dimension`` is the number of values of an image, C * H * W. The l2 radius asked for is rounded
    up, as ``norms.linf_to_l2`` does it: a run in mode radius has to be asked for that one.
    """
    return certified_accuracy(log, np.vectorize(linf_to_l2, otypes=[float])(epsilons, dimension))


def best_runs(logs: Sequence[CertificationLog], radii: ArrayLike) -> IntArray:
    """Which of ``logs`` has the highest certified accuracy at each of ``radii`` (R,); ties go to
    the cleaner one.

    Of runs that tie in clean accuracy as well, the first wins. RecordError unless all are on the
    same images.
    """
    if not logs:
        raise RecordError("expected at least one log, got none")
    check_same_images(logs)
    accuracy = np.stack([certified_accuracy(log, radii) for log in logs])
    clean = np.array([certified_accuracy(log, 0.0) for log in logs])
    order = np.argsort(-clean, kind="stable")
    return np.asarray(order[np.argmax(accuracy[order], axis=0)], dtype=np.int64)


def envelope(logs: Sequence[CertificationLog], radii: ArrayLike) -> FloatArray:
    """The highest certified accuracy of any of ``logs`` at each of ``radii`` (R,); ``best_runs``
    says whose it is.

    It is selected on the very images that it speaks of, so it flatters. RecordError unless all are
    on the same images.
    """
    winners = best_runs(logs, radii)
    accuracy = np.stack([certified_accuracy(log, radii) for log in logs])
    return np.asarray(np.take_along_axis(accuracy, winners[None], axis=0)[0])


def high_probability_accuracy(
    log: CertificationLog, radii: ArrayLike, alpha: float, failure: float = 1e-3
) -> FloatArray:
    """A lower bound on the true certified accuracy over these images that holds with probability 1
    - ``failure``.

    Certificates are each wrong with probability at most ``alpha``, independently of one another, so
    no more than a quantile of Bin(N, alpha) are at once: acc - quantile / N, at least 0. (The
    published code's formula falls short of a Bernstein bound by a factor of sqrt(2): at N = 10,000
    and alpha = failure = 0.001 it fails with 0.0016.)
    """
    most = stats.binom.ppf(1.0 - check_alpha(failure), len(_not_empty(log)), check_alpha(alpha))
    return np.asarray(np.maximum(certified_accuracy(log, radii) - most / len(log), 0.0))


def constant_classifier_accuracy(
    log: CertificationLog, radii: ArrayLike, largest_radius: float
) -> FloatArray:
    """What answering the most frequent class always would certify: its share at every r up to
    ``largest_radius``.

    ``largest_radius`` is what unanimous votes certify (``max_radius``); average that classifier's
    radius to share * largest_radius. A method below this line has learnt nothing there.
    """
    share = np.unique(_not_empty(log).label, return_counts=True)[1].max() / len(log)
    return np.where(np.asarray(radii) <= largest_radius, share, 0.0)


def abstention_rate(log: CertificationLog) -> float:
    """Fraction of images on which the smoothed classifier abstained."""
    return float((_not_empty(log).predict == ABSTAIN).mean())


def predicted_classes(log: CertificationLog) -> int:
    """The number of different classes predicted, abstentions aside: 1 betrays a collapsed model."""
    return len(np.unique(log.predict[log.predict != ABSTAIN]))


def label_probability(log: CertificationLog) -> FloatArray:
    """Estimated probability (N,) that noise leaves an image in its true class: votes for the label
    / samples.

    Its distribution shows what ACR hides: how many images are just won, and how many just lost (Sun
    et al. 2024, arXiv:2410.06895). Raises RecordError for a log without counts.
    """
    if log.counts is None or log.samples is None:
        raise _no_votes()
    return log.counts[np.arange(len(log)), log.label] / log.samples


def base_accuracy_under_noise(log: CertificationLog) -> float:
    """Accuracy of the base classifier on noisy images: the mean of ``label_probability``."""
    return float(label_probability(log).mean())


def majority_accuracy(log: CertificationLog) -> float:
    """Accuracy of the smoothed classifier's majority vote, certified or not; ties go to the lowest
    class.

    Above ``certified_accuracy`` at r = 0 by the images on which the vote was right, but too close
    to be sure. RecordError for a log without counts.
    """
    if log.counts is None:
        raise _no_votes()
    return float((log.counts.argmax(axis=1) == _not_empty(log).label).mean())


def label_probability_quantiles(
    log: CertificationLog, levels: ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95)
) -> FloatArray:
    """Quantiles of ``label_probability`` at ``levels`` (L,) in [0, 1]."""
    return np.asarray(np.quantile(label_probability(log), np.asarray(levels)))


def _no_votes() -> RecordError:
    return RecordError(
        "expected a log with vote counts, got one without; published tables do not hold them: "
        "certify "
        "with this package to have them"
    )


def _not_empty(log: CertificationLog) -> CertificationLog:
    if not len(log):
        raise RecordError("expected a log with at least one image, got none")
    return log
