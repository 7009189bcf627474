"""The figures of a record as plain names and numbers, for trackers and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import (
    abstention_rate,
    average_certified_radius,
    certified_accuracy,
)
from rsmooth.records.noise import recorded_noise
from rsmooth.records.norms import radius_in_norm

Figures: TypeAlias = dict[str, float]
OnCertified: TypeAlias = Callable[[Figures], object]
"""What ``certify_dataset`` calls with the figures of a record that is complete."""

# Alike for every run, so that those of several can be laid over each other.
RADII = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def figures_of(log: CertificationLog, radii: Sequence[float] | None = None) -> Figures:
    """The figures of a record by name: {"images": 500, "accuracy": 0.82, ...}.

        wandb.log(figures_of(read_log("runs/a")))

    images: how many. accuracy: of g (``certified_accuracy`` at 0). abstained: the share of images.
    average_certified_radius: of all images. certified_accuracy/R: at each radius R.

    radii: in the norm of the log. None takes those that the run was asked for, in modes radius and
        grid and in deterministic runs; otherwise 0.25, 0.5, ... 1.5, or 1/255, 2/255, ... 8/255 in
        linf.

    Where only some radii were decided there is no average, and in modes radius and grid no accuracy
    or abstention either. Shares are fractions. RecordError for an empty log.
    """
    asked = asked_radii(log)
    wanted = radii if radii is not None else asked or _usual(log)
    shares = certified_accuracy(log, list(wanted))
    found: Figures = {"images": float(len(log))}
    if asked is None:
        found["accuracy"] = float(certified_accuracy(log, 0.0))
        found["abstained"] = abstention_rate(log)
        if not log.provenance.get("epsilons"):
            found["average_certified_radius"] = average_certified_radius(log)
    names = [f"certified_accuracy/{radius:.4g}" for radius in wanted]
    return found | dict(zip(names, shares.tolist(), strict=True))


def asked_radii(log: CertificationLog) -> tuple[float, ...] | None:
    """The only radii that were decided, as in modes radius and grid; None for all of them.

        asked_radii(read_log("runs/grid"))      # (0.25, 0.5)

    They are in the norm of the log.
    """
    mode, options = log.provenance.get("mode"), log.provenance.get("mode_options") or {}
    if mode == "radius" and options.get("radius") is not None:
        radii = [options["radius"]]
    elif mode == "grid" and options.get("radii"):
        radii = list(options["radii"])
    else:
        return None
    return tuple(sorted(_converted(log, float(radius)) for radius in radii))


def _converted(log: CertificationLog, radius: float) -> float:
    """A radius in the norm of the noise, in that of the log."""
    steps: Sequence[Mapping[str, str]] = log.provenance.get("converted") or []
    noise = recorded_noise(log.provenance) if steps else None
    norm: str = "l2" if noise is None else noise.norm
    for step in steps:
        radius = radius_in_norm(radius, int(step["dimension"]), step["to"], source=norm)
        norm = step["to"]
    return radius


def _usual(log: CertificationLog) -> Sequence[float]:
    epsilons = log.provenance.get("epsilons")
    if epsilons:
        return [float(epsilon) for epsilon in epsilons if epsilon]
    if log.statement.norm == "linf":
        return [k / 255 for k in range(1, 9)]
    return RADII
