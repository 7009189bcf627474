"""What deterministic certificates of a network will cost, before they are asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rsmooth.bounds.methods import METHODS, Method
from rsmooth.bounds.proving import Prover
from rsmooth.certify.bound_settings import BoundSettings
from rsmooth.certify.deterministic import BoundEngine
from rsmooth.smoothed import SmoothedClassifier


@dataclass(frozen=True)
class MethodCost:
    """What one method takes per image and epsilon.

    rows: that a backward pass carries, at most. seconds: measured, or estimated from fewer rows.
    default: whether it is asked without being named.
    """

    method: Method
    rows: int
    seconds: float
    estimated: bool
    default: bool


def method_costs(g: SmoothedClassifier, x: Tensor, settings: BoundSettings) -> list[MethodCost]:
    """The cost of every method that can bound the network, cheap ones first.

        method_costs(g, x, BoundSettings(epsilons=[2 / 255]))

    x: a few images (B, C, H, W) in [0, 1]. ibp and crown-ibp are timed on them; of the others the
        seconds are those of crown-ibp, times rows. Rows of stable neurons are left out when it
        counts, so these are upper estimates.
    """
    engine = BoundEngine(g, settings, x.shape[1:])
    prover, shape = engine.prover, tuple(x.shape[1:])
    known: Sequence[Method] = ("ibp",) if prover.intervals_only else METHODS
    found: list[MethodCost] = []
    for method in sorted(known, key=lambda name: prover.rows(shape, name)):
        rows = prover.rows(shape, method)
        estimated = method not in ("ibp", "crown-ibp")
        seconds = (
            found[-1].seconds / found[-1].rows * rows
            if estimated
            else _timed(prover, x, settings, method)
        )
        found.append(MethodCost(method, rows, seconds, estimated, method in engine.methods))
    return found


def _timed(prover: Prover, x: Tensor, settings: BoundSettings, method: Method) -> float:
    y = prover.predict(x)
    began = time.perf_counter()
    prover.margins(x, y, float(settings.epsilons[-1]), method)
    return (time.perf_counter() - began) / len(x)
