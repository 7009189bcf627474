"""New statements from stored votes, without the model: another alpha, another norm, joint
statements, more samples.

All of it needs votes that were drawn by a plan fixed beforehand. The votes of a sequential run
stopped where they looked good or bad; taken as a fixed sample they would promise more than they
hold, so those runs are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rsmooth.certify.proof.bounds import check_n, radius_from_counts
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_alpha
from rsmooth.records.journal import describe_difference
from rsmooth.records.log import ABSTAIN, CertificationLog, IntArray, check_same_images
from rsmooth.records.noise import required_noise
from rsmooth.records.upgrade import upgraded

# What two runs must share before their votes may be added up: everything but the noise stream and
# the sample sizes.
_SAME = ("target", "model", "dataset", "noise", "numerics")


def recertify(
    log: CertificationLog, *, alpha: float | None = None, statements: int = 1
) -> CertificationLog:
    """The certificates that the stored votes give at another ``alpha``, or jointly with others.

    ``alpha``: to be chosen without regard to the votes. ``statements``: how many certificates shall
    hold together with probability 1 - alpha; each is then made at alpha / statements (Bonferroni),
    e.g. ``statements=len(log)`` for all images at once. Radii need no such share: all that is said
    of an image at any radius follows from one lower bound on one probability, so either all of it
    holds or that one bound failed, and certified accuracy may be read off at as many radii as
    wanted, chosen before or after. The class tested for an image stays that which the selection
    votes chose.

    Raises RecordError for a log without votes or configuration, for one not drawn with a fixed n,
    and for one that was tested again after a look, whose alpha is spent.
    """
    _check_fixed(log)
    _check_tested_once(log)
    if statements < 1:
        raise ValueError(f"expected at least one statement, got {statements}")
    level = check_alpha(log.provenance["alpha"] if alpha is None else alpha) / statements
    return _from_votes(
        log,
        class_under_test(log),
        level,
        {"alpha": level, "alpha_spent": level, "statements": statements},
    )


def append_samples(
    log: CertificationLog, more: CertificationLog, *, looked: bool, alpha: float | None = None
) -> CertificationLog:
    """The certificates of both runs' votes together: ``more`` adds fresh samples for every image of
    ``log``.

    ``looked``: whether the results of ``log`` were known when ``more`` was decided on. If not, the
    pooled votes are one fixed sample and keep the alpha of ``log``. If they were, sampling on is a
    second chance, and a second test at the same alpha would nearly double the failure probability;
    then ``alpha`` is the total, of which the test of ``log`` has spent its share, and the pooled
    votes are tested at the rest. The size of ``more`` must not have been chosen by the results: cut
    to fit them, it can nearly triple the failure probability of a retest at 0.001 (Proschan and
    Hunsberger 1995).

    The class of each image stays that which ``log`` tested. Raises RecordError, with the reason,
    where the votes cannot be pooled: sequential runs, another model or noise, the same noise again,
    other images, no alpha left.
    """
    if alpha is not None and not looked:
        raise ValueError(
            "expected alpha only with looked=True; votes pooled unseen keep the alpha of the run"
        )
    for run in (log, more):
        _check_fixed(run)
    _check_tested_once(more)
    check_same_images([log, more])
    _check_poolable(log, more.provenance)
    level = float(log.provenance["alpha"])
    total = float(log.provenance.get("alpha_spent", level))
    if looked:
        level, total = _alpha_left(alpha, total)
    votes = {
        name: getattr(log, name) + getattr(more, name)
        for name in ("counts", "samples", "invalid")
        if getattr(log, name) is not None and getattr(more, name) is not None
    }
    pooled = replace(log, **votes, time=log.time + more.time)
    change = {
        "n": int(log.provenance["n"]) + int(more.provenance["n"]),
        "alpha": level,
        "alpha_spent": total,
        "seeds": [*_seeds(log.provenance), *_seeds(more.provenance)],
    }
    return _from_votes(pooled, class_under_test(log), level, change)


def check_extension(log: CertificationLog, configuration: Mapping[str, Any]) -> None:
    """RecordError, with the reason, unless ``append_samples`` would add a run of this configuration
    to ``log``.

    ``configuration``: the header of the run, as its journal holds it. Tells before the first vote
    what would be known after the last.
    """
    _check_fixed(log)
    _check_mode(configuration)
    _check_poolable(log, configuration)


def class_under_test(log: CertificationLog) -> IntArray:
    """The class (N,) that each image's estimation votes were drawn to test: the label, or the
    winner of the selection.

    Raises RecordError where the log does not tell: for an abstention without selection votes.
    """
    if log.provenance.get("target") == "label":
        return log.label
    if log.selection is not None:
        return np.asarray(np.argmax(log.selection, axis=1), dtype=np.int64)
    if (log.predict == ABSTAIN).any():
        raise RecordError(
            "expected the selection votes of the images that were abstained on, got a log without; "
            "choosing their class from the estimation votes would test what the same votes "
            "suggested"
        )
    return log.predict


def _from_votes(
    log: CertificationLog, tested: IntArray, level: float, change: dict[str, Any]
) -> CertificationLog:
    """``log`` with predictions and radii computed anew from its votes, each at failure probability
    ``level``.
    """
    assert log.counts is not None
    assert log.samples is not None
    check_n(int(log.samples.min()), level)
    header = upgraded(log.provenance)
    hits = log.counts[np.arange(len(log)), tested]
    radius = np.asarray(
        radius_from_counts(
            hits,
            log.samples,
            required_noise(header),
            level,
            total_variation=float(header["noise"].get("total_variation", 0.0)),
        )
    )
    if "statement" in header:
        header["statement"] = {**header["statement"], "alpha": level}
    predict = np.where(radius > 0, tested, ABSTAIN)
    return replace(
        log,
        predict=predict,
        radius=radius,
        correct=predict == log.label,
        provenance={**header, **change},
    )


def _check_fixed(log: CertificationLog) -> None:
    if log.counts is None or log.samples is None:
        raise RecordError(
            "expected a log with vote counts, got one without; published tables do not hold them: "
            "certify with this package to have them"
        )
    missing = [key for key in ("alpha", "n", "mode") if key not in log.provenance]
    if missing:
        raise RecordError(
            f"expected the configuration of the run in the log's provenance, got none of {missing}"
        )
    required_noise(log.provenance)  # refuses a log without
    _check_mode(log.provenance)
    if not (log.samples == log.provenance["n"]).all():
        raise RecordError(
            f"expected {log.provenance['n']} samples for every image, got {int(log.samples.min())} "
            f"to {int(log.samples.max())}"
        )


def _check_mode(configuration: Mapping[str, Any]) -> None:
    mode = configuration["mode"]
    if mode != "fixed":
        raise RecordError(
            f"expected a run with a fixed number of samples, got mode={mode!r}; its votes stopped "
            "where they decided, so as a fixed sample they would promise too much: certify again "
            "with mode='fixed'"
        )


def _check_tested_once(log: CertificationLog) -> None:
    if log.provenance.get("alpha_spent", log.provenance["alpha"]) != log.provenance["alpha"]:
        raise RecordError(
            "expected votes that were tested once, got a run that was extended after a look; its "
            "failure probability is shared out already: hand it over as the first run of "
            "append_samples"
        )


def _check_poolable(log: CertificationLog, configuration: Mapping[str, Any]) -> None:
    ours, theirs = (
        {key: side[key] for key in _SAME if key in side}
        for side in (upgraded(log.provenance), upgraded(configuration))
    )
    difference = describe_difference(ours, theirs)
    if difference:
        raise RecordError(
            f"expected votes of one smoothed classifier, but the runs differ in {difference}; "
            "certify the further samples with the options of the first run and with extends"
        )
    seeds = set(map(str, _seeds(log.provenance)))
    repeated = sorted(seeds & set(map(str, _seeds(configuration))))
    if repeated:
        raise RecordError(
            f"expected fresh noise, got seed {', '.join(repeated)} in both runs; the same votes "
            "would count twice: certify the further samples with another seed"
        )


def _alpha_left(alpha: float | None, spent: float) -> tuple[float, float]:
    """What ``alpha`` leaves for the next test, and ``alpha`` itself."""
    if alpha is None:
        raise RecordError(
            "expected the total alpha for a retest after a look; the first test has spent "
            f"{spent:g} already, and testing again at that alpha would fail more often than it says"
        )
    if check_alpha(alpha) <= spent:
        raise RecordError(
            f"expected a total alpha above the {spent:g} that the first test has spent, got "
            f"{alpha:g}; nothing is left for the retest"
        )
    return alpha - spent, alpha


def _seeds(configuration: Mapping[str, Any]) -> list[Any]:
    return list(configuration.get("seeds", [configuration.get("seed")]))
