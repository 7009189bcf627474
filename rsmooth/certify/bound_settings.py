"""The options of a deterministic certification, each declared once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rsmooth.bounds.methods import METHODS

# Cheap ones first. crown costs twice as much as fast-lin, and is as often the looser as the tighter
# of the two.
DEFAULT_BOUNDS = ("ibp", "crown-ibp", "fast-lin")


@dataclass(frozen=True, kw_only=True)
class BoundSettings:
    """How to certify a network in l_inf by bounds.

        BoundSettings(epsilons=[1 / 255, 2 / 255])

    epsilons: the radii that are tried, in [0, 1] pixel units.
    bounds: the methods, cheap ones first: of ibp, crown-ibp, crown and fast-lin. Each is asked for
        what those before it have left. None takes ibp, crown-ibp and fast-lin, without the last
        where the network is so large that an image would take minutes.
    clip: whether to cut the box of perturbations at pixel values of 0 and 1. Images outside them do
        not exist, but some published certificates hold for them too.

    ValueError for no epsilons, one that is not finite and > 0, and an unknown method.
    """

    epsilons: Sequence[float]
    bounds: Sequence[str] | None = None
    clip: bool = True

    def __post_init__(self) -> None:
        radii = _numbers(self.epsilons)
        if not radii or not all(0 < radius < math.inf for radius in radii):
            raise ValueError(
                "expected at least one epsilon, each finite and > 0 in [0,1] pixel units, got "
                f"{self.epsilons!r}; use e.g. 1/255 and 2/255"
            )
        object.__setattr__(self, "epsilons", tuple(radii))
        if self.bounds is None:
            return
        unknown = [name for name in self.bounds if name not in METHODS]
        if unknown or not self.bounds or len(set(self.bounds)) < len(self.bounds):
            raise ValueError(
                f"expected bounds among {', '.join(METHODS)}, each at most once, got "
                f"{', '.join(map(str, self.bounds)) or 'none'}; e.g. ibp,crown-ibp"
            )
        object.__setattr__(self, "bounds", tuple(self.bounds))

    def record(self) -> dict[str, Any]:
        """The settings that decide the result, for the record; without the bounds."""
        return {"epsilons": list(self.epsilons), "clip": [0.0, 1.0] if self.clip else None}


def _numbers(values: object) -> list[float]:
    """The distinct numbers of a sequence in ascending order; none for anything else."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return []
    try:
        return sorted({math.nan if isinstance(value, bool) else float(value) for value in values})
    except (TypeError, ValueError):
        return []
