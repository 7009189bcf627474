"""New statements from stored votes, without the model: another alpha, or more samples.

All of it needs votes that were drawn by a plan fixed beforehand. A sequential run stops where its
votes look good or bad. Taken as a fixed sample, such votes would promise too much. So sequential
runs are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rsmooth.certify.proof.bounds import check_n, radius_from_counts
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_alpha, check_integer
from rsmooth.records.journal import describe_difference
from rsmooth.records.log import (
    ABSTAIN,
    CertificationLog,
    IntArray,
    check_same_images,
    images_asked,
    no_votes,
)
from rsmooth.records.noise import required_noise
from rsmooth.records.pixels import INDEX, KEYED_BY, PIXELS
from rsmooth.records.upgrade import upgraded

# What two runs must share before their votes may be added up: everything but the noise stream and
# the sample sizes.
_SAME = ("target", "model", "dataset", PIXELS, "noise", "numerics")


def recertify(
    log: CertificationLog, *, alpha: float | None = None, statements: int = 1
) -> CertificationLog:
    """The certificates that the stored votes give at another ``alpha``, or jointly with others.

        recertify(read_log("runs/smoothadv"), alpha=0.01)
        recertify(log, statements=len(log))              # all images at once

    alpha: to be chosen without regard to the votes. None keeps that of the log.
    statements: how many certificates shall hold together with probability 1 - alpha. Each is then
        made at alpha / statements (Bonferroni).

    Several radii need no such correction. Whatever is said of an image at any radius follows from
    one lower bound on one probability. Either all of it holds, or this one bound failed. So
    certified accuracy may be read at any number of radii, chosen before or after. The tested class
    of an image stays the one that the selection votes chose.

    RecordError for a log without votes or configuration, and for one not drawn with a fixed n.
    RecordError too for a log that was tested again after a look, since its alpha is spent.
    """
    _check_fixed(log)
    _check_tested_once(log)
    if check_integer(statements, "number of statements", 100) < 1:
        raise ValueError(f"expected at least one statement, got {statements}")
    level = check_alpha(log.provenance["alpha"] if alpha is None else alpha) / statements
    seen = max(level, _seen_at(log))
    change = {"alpha": level, "alpha_spent": level, "alpha_seen": seen, "statements": statements}
    return _from_votes(log, class_under_test(log), level, change)


def _seen_at(log: CertificationLog) -> float:
    """The largest alpha at which results of these votes were known, also before a restatement."""
    known = (log.provenance.get(key) for key in ("alpha_seen", "alpha_spent", "alpha"))
    return max((float(alpha) for alpha in known if alpha is not None), default=0.0)


def append_samples(
    log: CertificationLog, more: CertificationLog, *, looked: bool, alpha: float | None = None
) -> CertificationLog:
    """The certificates of both runs' votes together: fresh samples for every image of ``log``.

        more = certify_dataset(g, splits.test, "more.jsonl", settings, extends=log)  # another seed
        append_samples(log, more, looked=False)

    looked: whether the results of ``log`` were known when ``more`` was decided on. If not, the
        pooled votes are one fixed sample and keep the alpha of ``log``.
    alpha: with looked=True, the total failure probability. The test of ``log`` has spent its share,
        and the pooled votes are tested at the rest. A second test at the same alpha would nearly
        double the failure probability.

    The size of ``more`` must not depend on the results. Otherwise it can more than triple the
    failure probability of a retest at 0.001 (Proschan and Hunsberger 1995: alpha + exp(-z^2 / 2) /
    4 with z the quantile of 1 - alpha). The class of each image stays the one that ``log`` tested.

    RecordError, with the reason, where the votes cannot be pooled: sequential runs, another model
    or noise, the same noise again, other images, no alpha left.
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
        level, total = _alpha_left(alpha, _seen_at(log))
    pooled = replace(
        log,
        counts=_pooled(log.counts, more.counts),
        samples=_pooled(log.samples, more.samples),
        invalid=_pooled(log.invalid, more.invalid),
        time=log.time + more.time,
        provenance=_with_one_key(log, more.provenance),
    )
    change = {
        "n": int(log.provenance["n"]) + int(more.provenance["n"]),
        "alpha": level,
        "alpha_spent": total,
        "seeds": [*_seeds(log.provenance), *_seeds(more.provenance)],
    }
    return _from_votes(pooled, class_under_test(log), level, change)


def _pooled(ours: IntArray | None, theirs: IntArray | None) -> IntArray | None:
    """What both runs counted together; None where one did not count it."""
    return None if ours is None or theirs is None else ours + theirs


def check_extension(log: CertificationLog, configuration: Mapping[str, Any]) -> None:
    """RecordError unless ``append_samples`` would add a run of this configuration to ``log``.

    configuration: the header of the run, as its journal holds it.

    So an error that ``append_samples`` would raise in the end is raised before the first vote.
    """
    _check_fixed(log)
    if (asked := images_asked(log)) > len(log):
        raise RecordError(
            f"expected a finished run to extend, got {len(log)} of {asked} images; go on with it "
            "first, since samples are added to images that both runs have"
        )
    _check_mode(configuration)
    _check_poolable(log, configuration)


def class_under_test(log: CertificationLog) -> IntArray:
    """The class (N,) that the estimation votes of each image test.

    It is the label, or the winner of the selection votes. RecordError for an abstention without
    selection votes: its tested class is not known.
    """
    if log.provenance.get("target") == "label":
        if log.counts is not None and (log.label >= log.counts.shape[1]).any():
            raise RecordError(
                f"expected labels within 0..{log.counts.shape[1] - 1}, the classes that got votes, "
                f"got {int(log.label.max())}; certify again with labels of the model's classes"
            )
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
    """``log`` with predictions and radii from its votes, each at failure probability ``level``."""
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
        header["statement"] = {**header["statement"], "alpha": change["alpha_spent"]}
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
        raise no_votes(log)
    if not len(log):
        raise RecordError("expected certificates, got a log without; certify at least one image")
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


def _with_one_key(log: CertificationLog, other: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of ``log``, without what chose its noise where that chose not the other's."""
    keys = (KEYED_BY, INDEX)
    one = all(log.provenance.get(key) == other.get(key) for key in keys)
    return {key: said for key, said in log.provenance.items() if one or key not in keys}


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
