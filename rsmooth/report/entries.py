"""Rows of a leaderboard, each with its data set and images, and which of them may be shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from rsmooth.records.log import CertificationLog, IntArray
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
    sound: False where the certificates are known to prove nothing.
    """

    accuracy: Mapping[float, float]
    images: int | None = None
    acr: float | None = None
    abstained: float | None = None
    sound: bool = True


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

    Where no rule says it, four digits of a hash tell sets apart.
    """
    if whole is not None and len(idx) == whole and idx[-1] == whole - 1:
        return f"all {whole:,} images"
    count, first, last = len(idx), int(idx[0]), int(idx[-1])
    step = int(np.gcd.reduce(np.diff(idx))) if count > 1 else 1
    if step == 1 and first == 0 and count == last + 1:
        return f"images 0 to {last:,}, {count:,}"
    if step == 1 and count == last - first + 1:
        return f"images {first:,} to {last:,}, {count:,}"
    ordinal = _ordinal(step)
    if step > 1 and first == 0 and count == last // step + 1:
        return f"every {ordinal} image, {count:,}"
    mark = hashlib.sha256(np.asarray(idx, dtype="<i8").tobytes()).hexdigest()[:4]
    which = f"{count:,} of every {ordinal} image" if step > 1 else f"{count:,} images"
    return f"{which} (set {mark})"


def _ordinal(number: int) -> str:
    """As in 1st, 2nd and 11th."""
    if number // 10 % 10 == 1:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def identified(entries: list[Entry]) -> list[Entry]:
    """Entries with a data set each; where the path named none, by the labels."""
    labels = labels_of(entries)
    found = []
    for entry in entries:
        if entry.data is None and entry.run is not None and len(entry.run.log) >= FEWEST:
            fits = [name for name, known in labels.items() if known.agree(entry.run.log, 0)]
            if len(fits) == 1:
                note = "; ".join(filter(None, [entry.note, "data set known by its labels"]))
                entry = replace(entry, data=fits[0], note=note)
        found.append(entry)
    return found


@dataclass
class Labels:
    """The labels of a data set, as far as logs have told: -1 where none has; and how many have.

    Labels(np.array([3, 8, 8])).share(np.array([1, 2]))      # 1.0
    """

    label: IntArray
    logs: int = 1

    def agree(self, log: CertificationLog, unknown: int | None = None) -> bool:
        """Whether no label of the log is another one, and at most so many are new."""
        known = self._at(log.idx)
        new = int((known < 0).sum())
        right = bool(((known == log.label) | (known < 0)).all())
        return right and (new < len(log) if unknown is None else new <= unknown)

    def differing(self, log: CertificationLog) -> IntArray:
        """The idx at which the log has another label."""
        known = self._at(log.idx)
        return np.asarray(log.idx[(known >= 0) & (known != log.label)])

    def add(self, log: CertificationLog) -> None:
        """Take the labels of a log that agrees."""
        size = max(len(self.label), int(log.idx[-1]) + 1)
        grown = np.full(size, -1, dtype=np.int64)
        grown[: len(self.label)] = self.label
        grown[log.idx] = log.label
        self.label, self.logs = grown, self.logs + 1

    def share(self, idx: IntArray) -> float | None:
        """The share of the most frequent class among some images; None where one is not known."""
        known = self._at(idx)
        if not len(idx) or (known < 0).any():
            return None
        return float(np.bincount(known).max() / len(idx))

    def _at(self, idx: IntArray) -> IntArray:
        inside = idx < len(self.label)
        found = np.full(len(idx), -1, dtype=np.int64)
        found[inside] = self.label[idx[inside]]
        return found


def labels_of(entries: Iterable[Entry]) -> dict[str, Labels]:
    """The labels of each data set that paths name, by what most of its logs say."""
    versions: dict[str, list[Labels]] = {}
    for entry in entries:
        if entry.data is None or entry.run is None:
            continue
        log, known = entry.run.log, versions.setdefault(entry.data, [])
        version = next((each for each in known if each.agree(log)), None)
        if version is None:
            known.append(Labels(np.empty(0, dtype=np.int64), 0))
            version = known[-1]
        version.add(log)
    return {data: max(each, key=lambda labels: labels.logs) for data, each in versions.items()}


def checked(entries: list[Entry], missing: list[LeftOut]) -> list[Entry]:
    """The entries that can be on a board; the others go to ``missing``, with a reason each."""
    labels = labels_of(entries)
    kept: list[Entry] = []
    for entry in entries:
        reason = None if entry.run is None else _fault(entry, entry.run.log, labels, kept)
        if reason is None:
            kept.append(entry)
        else:
            missing.append(LeftOut(entry.source, reason))
    return kept


def _fault(
    entry: Entry, log: CertificationLog, labels: Mapping[str, Labels], kept: Sequence[Entry]
) -> str | None:
    if len(log) < FEWEST:
        return f"only {len(log)} images: cut off, or too few to compare"
    if entry.data is None:
        return "the path names no data set, and no other log has these labels"
    differing = labels[entry.data].differing(log)
    if len(differing):
        return (
            f"{len(differing):,} of {len(log):,} labels differ from those of most logs of "
            f"{entry.data}, first at idx {differing[0]}"
        )
    twin = next((each for each in kept if _same(entry, each)), None)
    return None if twin is None else f"the same certificates as {twin.source}"


def _same(one: Entry, other: Entry) -> bool:
    """Whether two published logs are one, but for the digits of their radii."""
    if one.run is None or other.run is None or one.data != other.data:
        return False
    if PUBLISHED not in (one.origin, other.origin):
        return False
    first, second = one.run.log, other.run.log
    return (
        np.array_equal(first.idx, second.idx)
        and np.array_equal(first.predict, second.predict)
        and np.allclose(first.radius, second.radius, rtol=_DIGITS, atol=1e-3)
    )
