"""A log of one norm as a log of another, by containment of balls: the only way to mix norms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_integer
from rsmooth.records.log import VOTES, CertificationLog, FloatArray, check_log
from rsmooth.records.norms import NormLike, radius_in_norm
from rsmooth.records.statement import Norm

_NO_VOTES: dict[str, Any] = dict.fromkeys(VOTES)


def in_norm(log: CertificationLog, norm: Norm, dimension: int | None = None) -> CertificationLog:
    """The certificates of ``log`` as certificates in another norm.

        in_norm(read_log("sigma_0.25"), "linf", 3072)        # radii / sqrt(3072)

    norm: "l1", "l2" or "linf". A log of this norm is returned as it is.
    dimension: values per image, C * H * W. None takes the shape that the record states.

    Each new ball is the largest one within the certified ball (``norms.radius_in_norm``), rounded
    down. The new provenance states the new norm, and the steps that led to it under "converted".
    Votes are left out, since they give radii in the norm of the noise. So restate a log before it
    is converted. RecordError for a dimension that is not known, or differs from the record's.
    ValueError for an unknown norm.
    """
    source = check_log(log).statement.norm
    if norm == source:
        return log
    size = dimension_for(log, dimension)
    radii = radii_in_norm(log, norm, size)
    step = {"from": source, "to": norm, "dimension": size}
    provenance = {
        **log.provenance,
        "statement": replace(log.statement, norm=norm).record(),
        "converted": [*log.provenance.get("converted", []), step],
    }
    provenance.pop("norm", None)  # a bare one; the statement has it now
    if "epsilons" in provenance:
        provenance["epsilons"] = [
            radius_in_norm(radius, size, norm, source=source) for radius in provenance["epsilons"]
        ]
    return replace(log, radius=radii, provenance=provenance, **_NO_VOTES)


def radii_in_norm(log: CertificationLog, norm: NormLike, dimension: int) -> FloatArray:
    """The certified radii (N,) in another norm, by containment from the norm that ``log`` states.

        radii_in_norm(read_log("sigma_0.25"), "linf", 3072)

    norm: "l1", "l2", "linf" or any p >= 1.
    dimension: values per image, C * H * W.

    Rounded down; see ``norms.radius_in_norm``.
    """
    source = check_log(log).statement.norm
    radii = (radius_in_norm(each, dimension, norm, source=source) for each in log.radius.tolist())
    return np.fromiter(radii, dtype=np.float64, count=len(log))


def recorded_dimension(log: CertificationLog) -> int | None:
    """Values per image, from the shape that the record states; None where it states none."""
    data: Any = log.provenance.get("dataset")
    shape = data.get("shape") if isinstance(data, Mapping) else None
    if shape is not None:
        return math.prod(map(int, shape))
    steps = log.provenance.get("converted")
    return int(steps[-1]["dimension"]) if steps else None


def dimension_for(log: CertificationLog, dimension: int | None) -> int:
    """The recorded dimension, or the given one; RecordError for neither, or for two that differ."""
    known = recorded_dimension(log)
    if known is None and dimension is None:
        raise RecordError(
            "expected the shape of the images in the record, got none; say their number of values "
            "C*H*W with dimension, e.g. 3072 for CIFAR-10"
        )
    if None not in (known, dimension) and known != dimension:
        raise RecordError(
            f"expected images of {known} values, as the record states, got dimension={dimension}; "
            "leave it out"
        )
    return check_integer(known if dimension is None else dimension, "dimension")  # type: ignore[arg-type]
