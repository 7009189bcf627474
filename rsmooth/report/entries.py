"""Rows of a leaderboard, each with its data set and images, and which of them may be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from rsmooth.records.log import IntArray
from rsmooth.report.collecting import LeftOut
from rsmooth.report.runs import Run

MEASURED, PUBLISHED, QUOTED = "measured here", "published log", "quoted"
FEWEST = 100  # images; a log of fewer is of a run that was cut off, or no evidence
_DIGITS = 6e-3  # relative; published radii have three digits, rounded to nearest
# How many test images there are; for ImageNet, validation images.
_WHOLE = {"cifar10": 10_000, "cifar100": 10_000, "mnist": 10_000, "fmnist": 10_000}
_WHOLE |= {"imagenet": 50_000}

Key: TypeAlias = tuple[str, float | str | None, str, str, str]
"""Data set, noise, images in words, norm and kind."""


@dataclass(frozen=True)
class Quoted:
    """Figures from a table of others, without certificates.

        Quoted(accuracy={0.0: 0.75, 0.25: 0.6}, images=500, acr=0.429)

    accuracy: fractions by radius. images: their number, None where the source does not say.
    """

    accuracy: Mapping[float, float]
    images: int | None = None
    acr: float | None = None
    abstained: float | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """One row: a run with its log, or quoted figures.

        Entry("SmoothAdv", PUBLISHED, "owner/repository: path", "cifar10", 0.25, run=run)

    data: the data set; None where it is not known.
    noise: sigma, or other noise in words; None for what has none, and for rows over several.
    idx: the images of quoted figures, where they are known.
    """

    method: str
    origin: str
    source: str
    data: str | None
    noise: float | str | None
    run: Run | None = None
    quoted: Quoted | None = None
    idx: IntArray | None = None
    measure: str = "l2"
    kind: str = "probabilistic"
    note: str = ""

    @property
    def stated(self) -> tuple[str, str]:
        """The norm and the kind of its certificates."""
        return (self.measure, self.kind) if self.run is None else self.run.statement.group

    @property
    def subset(self) -> str:
        """Which images it is on, in words."""
        if self.images is not None:
            return subset_words(self.images, _WHOLE.get(self.data or ""))
        count = None if self.quoted is None else self.quoted.images
        return "images not stated" if count is None else f"{count:,} images, not stated which"

    @property
    def key(self) -> Key:
        """What rows must share to be in one group."""
        return (str(self.data), self.noise, self.subset, *self.stated)

    @property
    def images(self) -> IntArray | None:
        """The images (N,) that it is on, by their idx; None where they are not known."""
        return self.idx if self.run is None else self.run.log.idx


def subset_words(idx: IntArray, whole: int | None = None) -> str:
    """Which images these are.

        subset_words(np.arange(0, 10_000, 20))      # "every 20th image, 500"

    idx: (N,) in increasing order. whole: how many images the data set has.
    """
    if whole is not None and len(idx) == whole and idx[-1] == whole - 1:
        return f"all {whole:,} images"
    count, first, last = len(idx), int(idx[0]), int(idx[-1])
    step = int(np.gcd.reduce(np.diff(idx))) if count > 1 else 1
    if step == 1 and first == 0 and count == last + 1:
        return f"images 0 to {last:,}, {count:,}"
    if step == 1 and count == last - first + 1:
        return f"images {first:,} to {last:,}, {count:,}"
    ordinal = f"{step}{'th' if step % 10 not in (1, 2, 3) else ('st', 'nd', 'rd')[step % 10 - 1]}"
    if step > 1 and first == 0 and count == last // step + 1:
        return f"every {ordinal} image, {count:,}"
    return f"{count:,} of every {ordinal} image" if step > 1 else f"{count:,} images"


def identified(entries: list[Entry]) -> list[Entry]:
    """Entries with a data set each; where the path named none, by the labels."""
    labels = _labels(entries)
    found = []
    for entry in entries:
        if entry.data is None and entry.run is not None:
            log = entry.run.log
            fits = [name for name, known in labels.items() if _agree(log.idx, log.label, known)]
            if len(fits) == 1:
                note = "; ".join(filter(None, [entry.note, "data set known by its labels"]))
                entry = replace(entry, data=fits[0], note=note)
        found.append(entry)
    return found


def _labels(entries: Iterable[Entry]) -> dict[str, dict[int, int]]:
    """The label of each image by data set, from the first log that names it and has the image."""
    found: dict[str, dict[int, int]] = {}
    for entry in entries:
        if entry.data is not None and entry.run is not None:
            known = found.setdefault(entry.data, {})
            pairs = zip(entry.run.log.idx.tolist(), entry.run.log.label.tolist(), strict=True)
            for idx, label in pairs:
                known.setdefault(idx, label)
    return found


def _agree(idx: IntArray, label: IntArray, known: Mapping[int, int]) -> bool:
    """Whether all labels are those of the data set, on enough images to be no accident."""
    if len(idx) < FEWEST:
        return False
    return all(known.get(i) == y for i, y in zip(idx.tolist(), label.tolist(), strict=True))


def checked(entries: list[Entry], missing: list[LeftOut]) -> list[Entry]:
    """The entries that can be on a board; the others go to ``missing``, with a reason each."""
    labels = _labels(entries)
    kept: list[Entry] = []
    for entry in entries:
        reason = _fault(entry, labels, kept)
        if reason is None:
            kept.append(entry)
        else:
            missing.append(LeftOut(entry.source, reason))
    return kept


def _fault(
    entry: Entry, labels: Mapping[str, Mapping[int, int]], kept: Sequence[Entry]
) -> str | None:
    if entry.run is None:
        return None
    log = entry.run.log
    if len(log) < FEWEST:
        return f"only {len(log)} images: cut off, or too few to compare"
    if entry.data is None:
        return "the path names no data set, and no other log has these labels"
    known = labels[entry.data]
    differing = [
        i for i, y in zip(log.idx.tolist(), log.label.tolist(), strict=True) if known[i] != y
    ]
    if differing:
        return (
            f"{len(differing):,} of {len(log):,} labels differ from those of other logs of "
            f"{entry.data}, first at idx {differing[0]}"
        )
    twin = next((each for each in kept if _same(entry, each)), None)
    return None if twin is None else f"the same certificates as {twin.source}"


def _same(one: Entry, other: Entry) -> bool:
    """Whether two logs are one, but for the digits of their radii."""
    if one.run is None or other.run is None or one.data != other.data:
        return False
    first, second = one.run.log, other.run.log
    return (
        np.array_equal(first.idx, second.idx)
        and np.array_equal(first.predict, second.predict)
        and np.allclose(first.radius, second.radius, rtol=_DIGITS, atol=1e-3)
    )
