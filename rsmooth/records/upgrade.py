"""Headers of earlier versions in the words of this one, so that their records still count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsmooth.records.statement import Statement

ARITHMETIC = {"grid": "integer"}  # by what earlier headers call the kind of noise
UNFINISHED = ("partial", "look")  # the kinds of a journal's entries of unfinished images


# The design of the tests of runs that name none: ``certify.proof.designs.FIRST_DESIGN``.
FIRST_DESIGN = {
    "start": 32,
    "growth": 2.0**0.5,
    "final_share": 0.5,
    "power_loss": 0.01,
    "selection": [],
    "lead": 1,
}


def upgraded(header: Mapping[str, Any]) -> dict[str, Any]:
    """The header of a record as this version writes it; one of this version is returned as it is.

        upgraded({"sigma": 0.25, "noise": {"kind": "grid"}, "alpha": 0.001})["noise"]["arithmetic"]

    Earlier headers name the noise {"kind": "grid" or "float", ...} beside "sigma", and have no
    statement. All of them are of Gaussian l2 certificates. Headers of modes "radius" and "grid"
    without a design are of the first one.
    """
    if header.get("mode") in ("radius", "grid") and "design" not in header:
        header = {**header, "design": FIRST_DESIGN}
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
