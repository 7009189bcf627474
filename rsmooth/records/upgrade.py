"""Headers of earlier versions in the words of this one, so that their records still count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsmooth.noise.distributions import NoiseDistribution, noise_of_record
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.statement import Statement

ARITHMETIC = {"grid": "integer"}  # by what earlier headers call the kind of noise
UNFINISHED = ("partial", "look")  # the kinds of a journal's entries of unfinished images


def upgraded(header: Mapping[str, Any]) -> dict[str, Any]:
    """The header of a record as this version writes it; one of this version comes back as it is.

    Earlier headers name the noise {"kind": "grid" or "float", ...} beside "sigma", and state
    nothing: all of them are Gaussian l2 certificates.
    """
    noise = header.get("noise", {})
    if "sigma" not in header or not isinstance(noise, Mapping) or "distribution" in noise:
        return dict(header)
    section = {key: noise[key] for key in ("sampler", "total_variation") if key in noise}
    section["distribution"] = {"name": "gaussian", "sigma": header["sigma"]}
    if "kind" in noise:
        section["arithmetic"] = ARITHMETIC.get(noise["kind"], noise["kind"])
    found = {**header, "noise": section}
    if "alpha" in header and "statement" not in header:
        found["statement"] = Statement(alpha=header["alpha"]).record()
    return found


def recorded_noise(header: Mapping[str, Any]) -> NoiseDistribution:
    """The noise distribution of a record; RecordError where its header does not say one."""
    section = upgraded(header).get("noise")
    record = section.get("distribution") if isinstance(section, Mapping) else None
    if not isinstance(record, Mapping):
        raise RecordError(
            "expected a record that names its noise distribution, got one without; certify with "
            "this package to have one"
        )
    try:
        return noise_of_record(record)
    except (TypeError, ValueError) as error:
        raise RecordError(f"{error}; install or register the noise that the record names") from None
