"""A leaderboard: logs and quoted figures by data set, noise and images, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rsmooth.certify.proof.bounds import lower_confidence_bound
from rsmooth.noise.distributions import Gaussian
from rsmooth.records.log import IntArray, image_difference
from rsmooth.records.merging import cut
from rsmooth.records.pairs import AllPairs, compare_all
from rsmooth.report.collecting import LeftOut
from rsmooth.report.entries import Entry, Key, Labels, checked, identified, labels_of
from rsmooth.report.runs import Run, default_radii

MOST_RADII = 10
USUAL_N, USUAL_ALPHA = 100_000, 0.001  # of published certificates
LEVEL = 0.05


@dataclass(frozen=True)
class BoardGroup:
    """Rows that may be compared: one data set, noise, subset of the images, norm and kind.

    build_board(entries).groups[0].entries

    pairs: of ``compared``, the rows with logs that are sound and on the same images.
    apart: rows with logs that cannot be compared, with the reason.
    share: of the most frequent class, None where no log has the labels of all images.
    """

    data: str
    noise: float | str | None
    subset: str
    measure: str
    kind: str
    entries: tuple[Entry, ...]
    radii: tuple[float, ...]
    compared: tuple[Entry, ...] = ()
    pairs: AllPairs | None = None
    apart: tuple[LeftOut, ...] = ()
    share: float | None = None

    @property
    def runs(self) -> list[Run]:
        """Those with logs."""
        return [entry.run for entry in self.entries if entry.run is not None]

    @property
    def largest_radius(self) -> float | None:
        """What unanimous votes certify, as far as is known: of the logs, or at the usual n, alpha.

        None without logs and sigma.
        """
        if self.runs:
            return max(run.largest_radius for run in self.runs)
        if not isinstance(self.noise, float):
            return None
        return float(
            Gaussian(self.noise).radius(lower_confidence_bound(USUAL_N, USUAL_N, USUAL_ALPHA))
        )

    def constant(self) -> list[float] | None:
        """What the constant classifier certifies at 0 and the radii; None where it is not known."""
        cap = self.largest_radius
        if self.share is None or cap is None:
            return None
        return [self.share if radius <= cap else 0.0 for radius in (0.0, *self.radii)]

    def marks(self, entry: Entry) -> list[str]:
        """For 0 and each radius: "best", "level" with it after Holm's correction, or ""."""
        if self.pairs is None or entry not in self.compared:
            return [""] * (1 + len(self.radii))
        number = self.compared.index(entry)
        return [self._mark(number, place) for place in range(1 + len(self.radii))]

    def _mark(self, number: int, place: int) -> str:
        assert self.pairs is not None
        radius = (0.0, *self.radii)[place]
        able = [k for k, each in enumerate(self.compared) if each.run and each.run.decided(radius)]
        if number not in able:
            return ""
        ahead = self.pairs.difference[number, able, place]
        if (ahead <= 0).all():
            return "best"
        best = able[int(np.argmax(ahead))]
        return "level" if self.pairs.adjusted[number, best, place] >= LEVEL else ""


@dataclass(frozen=True)
class Board:
    """Groups in order, and what is on none of them.

    build_board(entries).left_out
    """

    groups: tuple[BoardGroup, ...]
    left_out: tuple[LeftOut, ...] = field(default=())


def build_board(entries: Iterable[Entry], left_out: Sequence[LeftOut] = ()) -> Board:
    """The leaderboard of all entries.

        build_board([*measured, *published, *quoted])

    left_out: what could not be read, which is added to.

    A log whose path names no data set gets the one whose labels are its own. One on more images
    than a group's is in that group, too, cut down to them. Logs of fewer than 100 images, repeated
    ones, and those whose labels contradict their data set are left out, and said to be.
    """
    missing = list(left_out)
    known = checked(identified(list(entries)), missing)
    groups: dict[Key, list[Entry]] = {}
    for entry in known:
        groups.setdefault(entry.key, []).append(entry)
    labels = labels_of(known)
    made = [_group(key, rows, known, labels) for key, rows in groups.items()]
    return Board(tuple(sorted(made, key=_order)), tuple(missing))


def _group(
    key: Key,
    rows: Sequence[Entry],
    every: Sequence[Entry],
    labels: Mapping[str, Labels],
) -> BoardGroup:
    data, noise, subset, measure, kind = key
    images = next((row.images for row in rows if row.images is not None), None)
    more = [] if images is None else [_cut(each, images) for each in every if _covers(each, key)]
    entries = [*rows, *(each for each in more if each is not None)]
    runs = [entry.run for entry in entries if entry.run is not None]
    radii = _radii(entries, runs)
    compared, apart = _comparable([entry for entry in entries if entry.run is not None])
    return BoardGroup(
        data,
        noise,
        subset,
        measure,
        kind,
        tuple(sorted(entries, key=lambda entry: _rank(entry, radii))),
        tuple(radii),
        tuple(compared),
        _pairs(compared, radii),
        tuple(apart),
        None if images is None or data not in labels else labels[data].share(images),
    )


def _covers(entry: Entry, key: Key) -> bool:
    """Whether a log may have the images of a group of the same kind, and more."""
    own = entry.key
    return entry.run is not None and own != key and own[:2] == key[:2] and own[3:] == key[3:]


def _cut(entry: Entry, images: IntArray) -> Entry | None:
    """The entry on these images only; None where it lacks some of them."""
    assert entry.run is not None
    log = entry.run.log
    if len(log) <= len(images) or len(np.setdiff1d(images, log.idx)):
        return None
    note = "; ".join(filter(None, [entry.note, f"these of its {len(log):,} images"]))
    return replace(entry, run=replace(entry.run, log=cut(log, images), attacked=None), note=note)


def _radii(entries: Sequence[Entry], runs: Sequence[Run]) -> list[float]:
    """Those of the quoted rows and that logs were asked for, else the usual ones; at most ten."""
    quoted = {r for entry in entries if entry.quoted for r in entry.quoted.accuracy}
    asked = {radius for run in runs for radius in run.asked or ()}
    usual = set(default_radii(runs) if runs else ())
    found = sorted((quoted | asked if quoted else usual) - {0.0})
    if len(found) <= MOST_RADII:
        return found
    return [found[k] for k in np.linspace(0, len(found) - 1, MOST_RADII).round().astype(int)]


def _rank(entry: Entry, radii: Sequence[float]) -> tuple[float, str]:
    """By certified accuracy at the first radius, highest first."""
    if not radii:
        return 0.0, entry.method
    if entry.run is not None:
        log = entry.run.log
        share = float((log.correct & (log.radius >= radii[0])).mean())
        return (-share if entry.run.decided(radii[0]) else 1.0), entry.method
    value = None if entry.quoted is None else entry.quoted.accuracy.get(radii[0])
    return (1.0 if value is None else -value), entry.method


def _comparable(entries: Sequence[Entry]) -> tuple[list[Entry], list[LeftOut]]:
    """Sound logs on the same images, and the others with the reason."""
    alike: list[Entry] = []
    apart: list[LeftOut] = []
    for entry in entries:
        assert entry.run is not None
        reason = None if entry.run.statement.sound else "known to prove nothing"
        if reason is None and alike and alike[0].run is not None:
            reason = image_difference(alike[0].run.log, entry.run.log)
        if reason is None:
            alike.append(entry)
        else:
            apart.append(LeftOut(f"{entry.method} ({entry.source})", reason))
    return alike, apart


def _pairs(entries: Sequence[Entry], radii: Sequence[float]) -> AllPairs | None:
    if len(entries) < 2:
        return None
    runs = [entry.run for entry in entries if entry.run is not None]
    wanted = [0.0, *radii]
    decided = np.array([[run.decided(radius) for radius in wanted] for run in runs])
    return compare_all([run.log for run in runs], wanted, decided)


def _order(group: BoardGroup) -> tuple[str, str, float, str, int]:
    sigma = group.noise if isinstance(group.noise, float) else 99.0
    words = group.noise if isinstance(group.noise, str) else ""
    most = max((len(run.log) for run in group.runs), default=0)
    return group.data, f"{group.measure} {group.kind}", sigma, words, -most
