"""What a record says of a model, in the few numbers that a model's card has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsmooth.certify.run.header import is_hash_of, model_hash
from rsmooth.records.figures import asked_radii
from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import certified_accuracy, certified_radii
from rsmooth.records.noise import float_noise
from rsmooth.smoothed import SmoothedClassifier


def certified_card(
    log: CertificationLog, g: SmoothedClassifier, radii: Sequence[float] = (0.0, 0.25, 0.5)
) -> dict[str, Any]:
    """What a record says: ACR and certified accuracy in %, each with its standard error.

        g.save("folder/", certified=[certified_card(read_log("runs/a"), g)])

    g: the classifier that the record must be of.
    radii: for records that know each radius. Those of mode "grid" or "radius", and deterministic
        ones, decide just the radii that they were asked about, and have no ACR.

    ValueError for a record of another model, or of one that it does not name. ValueError too where
    it does not name its data set.
    """
    made = log.provenance
    found = made.get("model", {}).get("hash")
    if not is_hash_of(str(found), g):
        raise ValueError(
            f"expected a record of the model {model_hash(g)}, got one of {found}; certify these "
            "very weights with certify_dataset"
        )
    _check_whole(log)
    asked = _asked(log)
    radii = asked or radii
    earned = certified_radii(log)
    accuracy = certified_accuracy(log, radii)
    errors = np.sqrt(accuracy * (1 - accuracy) / len(log))
    return {
        "dataset": {key: made["dataset"][key] for key in ("name", "split", "images")},
        "statement": log.statement.record(),
        **({"float_noise": True} if float_noise(made) else {}),
        **{key: made[key] for key in ("mode", "n0", "n", "alpha", "seed") if key in made},
        **({"numerics": _numerics(made)} if "numerics" in made else {}),
        "model_hash": found,
        **({} if asked else {"acr": [round(float(earned.mean()), 4), round(_error(earned), 4)]}),
        "accuracy": {
            f"{radius:g}": [round(float(100 * share), 2), round(float(100 * error), 2)]
            for radius, share, error in zip(radii, accuracy, errors, strict=True)
        },
        "abstained": int((log.predict < 0).sum()),
    }


def _asked(log: CertificationLog) -> list[float]:
    """The only radii that the votes or the bounds were asked about; none where all are known."""
    if "epsilons" in log.provenance:  # of bounds, which answer for the image itself too
        return [0.0, *log.provenance["epsilons"]]
    return list(asked_radii(log) or ())


def _numerics(made: Mapping[str, Any]) -> dict[str, Any]:
    """How votes were computed. Bounds are of exact arithmetic, and depend on no machine."""
    return {key: made["numerics"][key] for key in ("dtype", "device", "torch")}


def _check_whole(log: CertificationLog) -> None:
    """ValueError for a record of a part of its images, of one image, or of what proves nothing."""
    if "dataset" not in log.provenance:
        raise ValueError(
            "expected a record that names its data set, got one of images in memory; certify with "
            "certify_dataset"
        )
    images = log.provenance["dataset"]["images"]
    if len(log) != images or len(log) < 2 or not log.statement.sound:
        raise ValueError(
            f"expected a sound record of all of its images, two or more, got {len(log)} of "
            f"{images} ({log.statement}); finish the certification first"
        )


def _error(values: np.ndarray[Any, Any]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
