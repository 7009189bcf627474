"""Rows per image: what each run answered, with which votes and radius."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsmooth.plumbing.numbers import rounded_down
from rsmooth.records.log import ABSTAIN, CertificationLog, IntArray
from rsmooth.report.runs import Run

MOST_ROWS = 2000
MOST_CLASSES = 3  # in the votes of a row
_LARGEST = 64  # pixels; larger pictures are made smaller


@dataclass(frozen=True)
class ImageRows:
    """A table of images, ready for the page.

        image_rows(load_runs(["runs/a"]), {}).rows

    header: names of the columns, and whether each holds words.
    choices: columns to filter by: name, place among the cells, values.
    pictures: data URIs by idx.
    """

    header: list[tuple[str, bool]]
    rows: list[tuple[str, ...]]
    note: str
    choices: list[tuple[str, int, list[str]]]
    pictures: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[bool]:
        """Whether each cell of a row is a word; without the picture's column."""
        return [word for name, word in self.header if name != "image"]


def image_rows(
    runs: Sequence[Run],
    pictures: Mapping[int, NDArray[np.uint8]],
    classes: Sequence[str] | None = None,
    most: int = MOST_ROWS,
) -> ImageRows:
    """A row per image and run, for as many images as fit into ``most`` rows.

        image_rows(load_runs(["runs/a", "runs/b"]), {0: pixels})

    pictures: uint8 (H, W) or (H, W, 3) by idx.
    classes: names of the classes.

    Where there are more images, every k-th of them is there. All runs show the same ones.
    """
    chosen = _chosen(runs, most)
    shown = {int(idx) for idx in chosen}
    known = {f"{idx}": picture_uri(pictures[idx]) for idx in sorted(shown) if idx in pictures}
    attacked = any(run.attacked is not None for run in runs)
    rows = [
        _row(run, at, classes, attacked)
        for idx in chosen
        for run in runs
        if (at := _position(run.log, int(idx))) is not None
    ]
    header = [("image", False)] if known else []
    header += [("idx", False), ("run", True), ("label", True), ("prediction", True)]
    header += [("verdict", True), ("radius", False), ("votes for the label", False)]
    header += [("attacked at", False)] if attacked else []
    header += [("votes", True)]
    first = 1 if known else 0
    choices = [
        ("run", first + 1, [run.label for run in runs]),
        ("label", first + 2, sorted({row[2] for row in rows}, key=lambda text: (len(text), text))),
        ("verdict", first + 4, ["right", "wrong", "abstained"]),
    ]
    return ImageRows(header, rows, _note(runs, len(chosen), attacked), choices, known)


def _chosen(runs: Sequence[Run], most: int) -> IntArray:
    """The idx of the images that are shown, evenly chosen among all that any run has."""
    every = np.unique(np.concatenate([run.log.idx for run in runs]))
    count = min(len(every), max(1, most // len(runs)))
    return np.asarray(every[np.linspace(0, len(every) - 1, count).round().astype(int)])


def _position(log: CertificationLog, idx: int) -> int | None:
    at = int(np.searchsorted(log.idx, idx))
    return at if at < len(log) and log.idx[at] == idx else None


def _row(run: Run, at: int, classes: Sequence[str] | None, attacked: bool) -> tuple[str, ...]:
    log = run.log
    predict, label = int(log.predict[at]), int(log.label[at])
    verdict = "abstained" if predict == ABSTAIN else "right" if log.correct[at] else "wrong"
    answer = "-" if predict == ABSTAIN else _class(predict, classes)
    share, votes = _votes(log, at, classes)
    broken = [] if not attacked else [_attacked(run, at)]
    size = rounded_down(float(log.radius[at]), 4)
    return (
        str(int(log.idx[at])), run.label, _class(label, classes), answer, verdict, size, share,
        *broken, votes,
    )  # fmt: skip


def _votes(log: CertificationLog, at: int, classes: Sequence[str] | None) -> tuple[str, str]:
    """The share of the label's votes, and the classes with most; or what proved the radius."""
    if log.counts is None or log.samples is None:
        proved = "" if log.proved_by is None else str(log.proved_by[at])
        return "-", proved and f"proved by {proved}"
    counts, label, samples = log.counts[at], int(log.label[at]), int(log.samples[at])
    own = int(counts[label]) if label < len(counts) else 0
    first = [k for k in np.argsort(-counts, kind="stable")[:MOST_CLASSES] if counts[k]]
    said = [f"{_class(int(k), classes)}: {int(counts[k]):,}" for k in first]
    rest = samples - int(sum(counts[k] for k in first))
    return f"{own / samples:.4f}", ", ".join([*said, *([f"others: {rest:,}"] if rest else [])])


def _attacked(run: Run, at: int) -> str:
    if run.attacked is None:
        return "-"
    value = float(run.attacked[at])
    return "not found" if np.isinf(value) else f"{value:.4f}"


def _class(number: int, classes: Sequence[str] | None) -> str:
    named = classes is not None and number < len(classes)
    return f"{number} {classes[number]}" if classes is not None and named else str(number)


def _note(runs: Sequence[Run], images: int, attacked: bool) -> str:
    every = len(np.unique(np.concatenate([run.log.idx for run in runs])))
    some = f"{images:,} of {every:,} images, evenly chosen"
    which = f"All {every:,} images" if images == every else some
    norms = sorted({run.statement.measure for run in runs})
    text = (
        f"{which}. radius: certified, in {' or '.join(norms)}, rounded down; 0 where the run "
        "abstained. A wrong answer can have one as well. votes for the label: their share of the "
        "estimation samples."
    )
    return text + (" attacked at: the smallest epsilon that broke the answer." if attacked else "")


def picture_uri(pixels: NDArray[np.uint8]) -> str:
    """A data URI of a small picture: PNG, or JPEG where it had to be made smaller.

    picture_uri(np.zeros((8, 8), np.uint8))[:22]      # "data:image/png;base64,"
    """
    from PIL import Image

    picture = Image.fromarray(pixels)
    large = max(picture.size) > _LARGEST
    kind = "JPEG" if large else "PNG"
    if large:
        picture.thumbnail((_LARGEST, _LARGEST))
    out = io.BytesIO()
    picture.save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"
