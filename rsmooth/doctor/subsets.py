"""Which images of a data set a log is about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsmooth.doctor.findings import listed

Index = NDArray[np.int64]


def subset(idx: Index) -> tuple[str, list[int]]:
    """In words, which positions these are, and those that lack in the pattern.

    subset(np.array([0, 20, 40, 80]))       # ("every 20th image from 0 to 80", [60])
    """
    places = np.unique(idx)
    if len(places) == 1:
        return f"image {places[0]} alone", []
    steps, counts = np.unique(np.diff(places), return_counts=True)
    step = int(steps[np.argmax(counts)])
    wanted = np.arange(places[0], places[-1] + 1, step)
    regular = np.isin(places, wanted).all() and len(places) > 0.5 * len(wanted)
    if not regular:
        return f"{len(places):,} positions from {places[0]} to {places[-1]} without a pattern", []
    missing = [int(each) for each in np.setdiff1d(wanted, places)]
    if step == 1 and places[0] == 0:
        words = f"the first {len(wanted):,} images"
    elif step == 1:
        words = f"images {places[0]} to {places[-1]}"
    else:
        words = f"every {_ordinal(step)} image from {places[0]} to {places[-1]}"
    return words, missing


def unfinished(idx: Index) -> str | None:
    """A known test set of which a regular subset stops short; None where it does not.

    unfinished(np.arange(0, 42_700, 100))       # "... 427 of 500 of ImageNet's validation images"
    """
    places = np.unique(idx)
    steps = np.unique(np.diff(places)) if len(places) > 1 else np.array([], dtype=int)
    if len(steps) != 1 or places[0] != 0 or int(steps[0]) not in (20, 100):
        return None
    step, name, size = int(steps[0]), "CIFAR-10's test", 10_000
    if step == 100:
        name, size = "ImageNet's validation", 50_000
    whole = -(-size // step)
    if len(places) >= whole:
        return None
    return f"every {_ordinal(step)} of {name} images are {whole}, and these are {len(places)}"


def doubled(idx: Index) -> list[int]:
    """The positions that are there more than once."""
    values, counts = np.unique(idx, return_counts=True)
    return [int(each) for each in values[counts > 1]]


def classes(label: Index) -> str:
    """How many classes there are, in words."""
    values = np.unique(label)
    if len(values) > 12:
        return f"{len(values)} classes from {values[0]} to {values[-1]}"
    many = f"{len(values)} classes" if len(values) > 1 else "1 class"
    return f"{many} ({listed([int(each) for each in values], 12)})"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ending}"
