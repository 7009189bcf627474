"""What a reader should know before believing a comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsmooth.certify.proof.bounds import max_radius
from rsmooth.records.log import CertificationLog, image_difference
from rsmooth.records.metrics import (
    certified_accuracy,
    constant_classifier_accuracy,
    predicted_classes,
)
from rsmooth.records.statistics import SMALL_SAMPLE
from rsmooth.report.runs import Run

_EFFECTS = {
    "n": "more samples certify larger radii",
    "alpha": "a larger alpha certifies larger radii",
    "mode": "only fixed-size runs report full radii",
    "target": "testing the label spares the selection",
}


def caveats(runs: Sequence[Run]) -> list[str]:
    """Warnings about single runs and about comparing them, in words; empty if there are none."""
    return [
        *_about_samples(runs),
        *_about_settings(runs),
        *(text for run in runs for text in _about_run(run)),
    ]


def _about_samples(runs: Sequence[Run]) -> list[str]:
    found = []
    fewest = min(len(run.log) for run in runs)
    if fewest < SMALL_SAMPLE:
        found.append(
            f"Only {fewest:,} images: an accuracy near 50 % has a standard error of "
            f"{50 / fewest**0.5:.1f} "
            f"points; take {SMALL_SAMPLE:,} or more to tell methods apart."
        )
    for run in runs[1:]:
        difference = image_difference(runs[0].log, run.log)
        if difference is not None:
            found.append(f"{runs[0].name} and {run.name} are not on the same images: {difference}.")
    return found


def _about_settings(runs: Sequence[Run]) -> list[str]:
    found = []
    for key, effect in _EFFECTS.items():
        known = {str(run.setting(key)) for run in runs if run.setting(key) is not None}
        if len(known) > 1:
            found.append(f"The runs differ in {key} ({', '.join(sorted(known))}): {effect}.")
    if len(runs) > 1 and any(run.setting("sigma") is None for run in runs):
        unknown = ", ".join(run.name for run in runs if run.setting("sigma") is None)
        found.append(
            f"No configuration in the record of {unknown}: whether σ, n and alpha agree cannot be "
            "checked."
        )
    return found


def _about_run(run: Run) -> list[str]:
    found = []
    data, noise = run.setting("dataset"), run.setting("noise")
    if isinstance(data, dict) and data.get("images", 0) > len(run.log):
        found.append(
            f"{run.name}: unfinished, {len(run.log):,} of {data['images']:,} images are there."
        )
    if run.setting("mode") in ("radius", "grid"):
        found.append(
            f"{run.name}: mode {run.setting('mode')} only decides radii that were asked for; its "
            "ACR, and its "
            "curve between them, are lower bounds."
        )
    if run.setting("target") == "label":
        found.append(
            f"{run.name}: the true label was tested, so an image that is misclassified counts as "
            "abstained."
        )
    if isinstance(noise, dict) and noise.get("kind") == "float":
        found.append(
            f"{run.name}: float noise, whose certificates floating-point rounding can break."
        )
    if predicted_classes(run.log) <= 1:
        found.append(
            f"{run.name}: the model has collapsed, it predicts {predicted_classes(run.log)} class."
        )
    configuration = [run.setting(key) for key in ("sigma", "n", "alpha")]
    if None not in configuration:
        sigma, n, alpha = configuration
        beyond = overstated(run.log, float(sigma), int(n), float(alpha))
        if beyond:
            found.append(
                f"{run.name}: {beyond} radii exceed what n={n} samples can certify; they were "
                "rounded up, or the configuration is another."
            )
    below = _worse_than_constant(run)
    if below is not None:
        found.append(f"{run.name}: below the constant classifier from r={below:.3g} on.")
    return found


def _worse_than_constant(run: Run) -> float | None:
    """The smallest radius from which on the run certifies less than answering one class always
    would; None if never.
    """
    cap = run.largest_radius
    radii = np.linspace(0.0, cap, 401)[:-1]
    worse = certified_accuracy(run.log, radii) < constant_classifier_accuracy(run.log, radii, cap)
    if not worse[-1]:
        return None
    return float(radii[np.flatnonzero(~worse)[-1] + 1]) if (~worse).any() else 0.0


def overstated(log: CertificationLog, sigma: float, n: int, alpha: float) -> int:
    """The number of radii above the largest that n samples can certify: rounding up in the tool
    that wrote them.
    """
    return int(np.sum(log.radius > max_radius(sigma, n, alpha)))
