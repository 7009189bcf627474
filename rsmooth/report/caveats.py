"""What a reader should know before believing a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rsmooth.records.log import CertificationLog, image_difference, images_asked
from rsmooth.records.metrics import (
    certified_accuracy,
    constant_classifier_accuracy,
    predicted_classes,
)
from rsmooth.records.noise import float_noise
from rsmooth.records.statistics import SMALL_SAMPLE
from rsmooth.report.runs import Run, by_statement

ROUNDING = 1e-9  # relative; between two ways to compute the same bound
_EFFECTS = {
    "n": "more samples certify larger radii",
    "alpha": "a larger alpha certifies larger radii",
    "mode": "only fixed-size runs report full radii",
    "target": "testing the label spares the selection",
}

_AVERAGES = {"radius": "and so is the ACR", "grid": "and its ACR is a lower bound"}


def caveats(runs: Sequence[Run]) -> list[str]:
    """Warnings about single runs and about comparing them, in words; empty without any.

    caveats(load_runs(["runs/a", "runs/b"]))
    """
    return [
        *_about_samples(runs),
        *(text for group in by_statement(runs) for text in _about_settings(group)),
        *(f"{run.name}: {text}" for run in runs for about in _OF_ONE_RUN for text in about(run)),
    ]


def _about_samples(runs: Sequence[Run]) -> list[str]:
    found = []
    fewest = min(len(run.log) for run in runs)
    if fewest < SMALL_SAMPLE:
        found.append(
            f"Only {fewest:,} images: an accuracy near 50 % has a standard error of "
            f"{50 / fewest**0.5:.1f} points; take {SMALL_SAMPLE:,} or more to tell methods apart."
        )
    for run in runs[1:]:
        difference = image_difference(runs[0].log, run.log)
        if difference is not None:
            found.append(f"{runs[0].name} and {run.name} are not on the same images: {difference}.")
    if not all(np.array_equal(run.log.idx, runs[0].log.idx) for run in runs):
        found.append(
            "With common=True (--common true) a report compares runs on the images that all have."
        )
    return found


def _about_settings(runs: Sequence[Run]) -> list[str]:
    found = []
    for key, effect in _EFFECTS.items():
        values = [run.statement.alpha if key == "alpha" else run.setting(key) for run in runs]
        known = {str(value) for value in values if value is not None}
        if len(known) > 1:
            found.append(f"The runs differ in {key} ({', '.join(sorted(known))}): {effect}.")
    probabilistic = runs[0].statement.kind == "probabilistic"
    unknown = [run.name for run in runs if run.noise is None]
    if len(runs) > 1 and probabilistic and unknown:
        found.append(
            f"No configuration in the record of {', '.join(unknown)}: whether noise, n and alpha "
            "agree cannot be checked; rsmooth doctor FILE says which the largest radius fits."
        )
    return found


def _about_record(run: Run) -> list[str]:
    found, whole = [], images_asked(run.log)
    if not run.statement.sound:
        found.append(
            f"the rule behind its certificates ({run.statement.method}) is known to prove "
            "nothing; its figures are in brackets and enter no envelope and no comparison."
        )
    if whole > len(run.log):
        found.append(f"unfinished, {len(run.log):,} of {whole:,} images are there.")
    return found


def _about_mode(run: Run) -> list[str]:
    found, mode = [], run.setting("mode")
    if mode in ("radius", "grid"):
        found.append(
            f"mode {mode} only decides radii that were asked for; other radii are left out, "
            f"{_AVERAGES[mode]}."
        )
    if run.log.counts is not None and mode not in (None, "fixed"):
        found.append(
            f"in mode {mode} the votes of an image stop where they decide, so shares of votes are "
            "biased; take probabilities of classes and the accuracy under noise from a run of "
            "mode fixed."
        )
    if run.setting("target") == "label":
        found.append(
            "the true label was tested, so an image that is misclassified counts as abstained."
        )
    return found


def _about_classifier(run: Run) -> list[str]:
    found, named = [], function_without_hash(run.log)
    if float_noise(run.log.provenance):
        found.append("float noise, whose certificates floating-point rounding can break.")
    if named is not None:
        found.append(
            f"certifies the function {named}, whose content the record does not state (sha256)."
        )
    return found


def _about_answers(run: Run) -> list[str]:
    found, predicted = [], predicted_classes(run.log)
    broken = 0 if run.attacked is None else int((run.attacked <= run.log.radius).sum())
    if broken and run.statement.sound:
        found.append(
            f"an attack has changed the answer within the radius of {broken} images, so their "
            "proofs are false; do not use this record."
        )
    if predicted == 0:
        found.append("the model abstained on every image.")
    elif predicted == 1 and len(np.unique(run.log.label)) > 1:
        found.append("the model has collapsed, it predicts 1 class.")
    return found


def function_without_hash(log: CertificationLog) -> str | None:
    """The name of a certified function of which the record holds no hash; None of anything else."""
    model = log.provenance.get("model")
    function = model.get("function") if isinstance(model, Mapping) else None
    if isinstance(function, Mapping) and function.get("sha256") == "none":
        return str(function.get("name"))
    return None


def _about_radii(run: Run) -> list[str]:
    found, largest = [], run.unanimous_radius
    if largest is not None and (beyond := overstated(run.log, largest)):
        found.append(
            f"{beyond} radii exceed what n={run.setting('n')} samples can certify; they were "
            "rounded up, or the configuration is another."
        )
    below = _worse_than_constant(run)
    if below is not None:
        found.append(f"below the constant classifier from r={below:.3g} on.")
    return found


_OF_ONE_RUN = (_about_record, _about_mode, _about_classifier, _about_answers, _about_radii)


def _worse_than_constant(run: Run) -> float | None:
    """The radius from which on answering one class would certify more; None if there is none."""
    cap = run.largest_radius
    if run.asked is not None:
        at = np.array(run.asked)
        low = certified_accuracy(run.log, at) < constant_classifier_accuracy(run.log, at, cap)
        return float(at[np.flatnonzero(low)[0]]) if low.any() else None
    radii = np.linspace(0.0, cap, 401)[:-1]
    worse = certified_accuracy(run.log, radii) < constant_classifier_accuracy(run.log, radii, cap)
    if not worse[-1]:
        return None
    return float(radii[np.flatnonzero(~worse)[-1] + 1]) if (~worse).any() else 0.0


def overstated(log: CertificationLog, largest: float) -> int:
    """The number of radii above the ``largest`` that the run's samples can certify.

    The tool that wrote them has rounded them up.
    """
    return int(np.sum(log.radius > largest * (1.0 + ROUNDING)))
