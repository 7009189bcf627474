"""The published tables as data, one CSV file per table; none of these numbers was measured here.

    find("cifar10", images=500, sigmas=[0.25])

Columns: dataset, kind (run, envelope, ...), method, run (P10 m4 e255 = PGD, 10 steps, m = 4,
epsilon 255/256; D = DDN), sigma, images (the number of test images; empty where the
source does not say), runs (how many the envelope is over), acr, abstained (percent), note, source;
all further columns are radii with certified accuracies in percent. Radii are l2, but in rows of the
kinds "linf, deterministic" and "linf, not sound".
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from rsmooth.benchmarks.place import FILES

FOLDER = FILES / "reference"
PROTOCOLS = {"cifar10": 20, "imagenet": 100}
"""Published logs certify every k-th test image, with this k."""
IMAGES = {"cifar10": 10_000, "imagenet": 50_000}
"""Images of the test set, which other published logs certify all."""
_NAMED = (
    "dataset",
    "kind",
    "method",
    "run",
    "sigma",
    "images",
    "runs",
    "acr",
    "abstained",
    "note",
    "source",
)


@dataclass(frozen=True)
class Quoted:
    """One published row.

    accuracy: percent by radius. acr, sigma, images, abstained: None where the source does not say.
    """

    table: str
    dataset: str
    kind: str
    method: str
    run: str
    sigma: float | None
    images: int | None
    acr: float | None
    abstained: float | None
    note: str
    source: str
    accuracy: dict[float, float]

    @property
    def label(self) -> str:
        """Method and run in one line."""
        return f"{self.method} {self.run}".strip()

    @property
    def deterministic(self) -> bool:
        """Whether its radii are linf ones of bounds, whatever these prove."""
        return self.kind.startswith("linf,")

    @property
    def sound(self) -> bool:
        """Whether its certificates are not known to prove nothing."""
        return self.kind != "linf, not sound"


def table_names() -> list[str]:
    """The names of the shipped tables."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


def read_table(name: str) -> list[Quoted]:
    """All rows of one table; ValueError for an unknown table or a missing column."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        raise ValueError(
            f"expected a reference table, got {name!r}; known: {', '.join(table_names())}"
        )
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        missing = [column for column in _NAMED if column not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(
                f"expected the columns {', '.join(missing)} in {path}, got none; add them"
            )
        return [_quoted(name, row) for row in rows]


def find(
    dataset: str,
    *,
    images: int | None = None,
    sigmas: Sequence[float] | None = None,
    tables: Sequence[str] | None = None,
) -> list[Quoted]:
    """The published rows for a data set, from all tables or some.

        find("cifar10", images=500, sigmas=[0.25])

    images: only rows on this number of images, or an unknown one (None: any). sigmas: only rows at
    these, and rows over several sigmas.
    """
    rows = [
        row
        for name in tables or table_names()
        for row in read_table(name)
        if row.dataset == dataset
    ]
    return [
        row
        for row in rows
        if (images is None or row.images in (images, None))
        and (sigmas is None or row.sigma is None or row.sigma in sigmas)
    ]


def _quoted(table: str, row: dict[str, str]) -> Quoted:
    accuracy = {
        float(radius): float(value)
        for radius, value in row.items()
        if radius not in _NAMED and value
    }
    return Quoted(
        table,
        row["dataset"],
        row["kind"],
        row["method"],
        row["run"],
        _number(row["sigma"]),
        int(row["images"]) if row["images"] else None,
        _number(row["acr"]),
        _number(row["abstained"]),
        row["note"],
        row["source"],
        accuracy,
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
