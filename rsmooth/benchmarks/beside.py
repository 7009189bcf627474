"""Our rows beside the published ones: each is marked as measured or quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsmooth.benchmarks.reference import IMAGES, PROTOCOLS, Quoted, find
from rsmooth.plumbing.files import replace_file
from rsmooth.records.norms import linf_to_l2
from rsmooth.report.document import Report
from rsmooth.report.runs import Run
from rsmooth.report.tables import Row, Table, average_words, md_row, md_rule, pixel_fraction

VALUES = {"cifar10": 3 * 32 * 32, "imagenet": 3 * 224 * 224}
"""Values per image, by which published linf figures become l2 radii."""


def comparable(made: Report, reference: str | None) -> list[Quoted]:
    """The published rows at the sigmas of our runs, on the same subset of images.

    They are rows on all subsets where ours is none of the published ones.
    """
    if reference in (None, "none"):
        return []
    assert reference is not None
    if reference not in PROTOCOLS:
        raise ValueError(
            f"expected reference to be one of {', '.join(PROTOCOLS)} or none, got {reference!r}"
        )
    sigmas = {run.sigma for run in made.runs if run.sigma is not None}
    images = _subset(made.runs, reference)
    found = find(reference, images=images, sigmas=sorted(sigmas) if sigmas else None)
    return [row for row in found if not row.deterministic]


def published_kind(made: Report) -> Table | None:
    """Our table of probabilistic l2 certificates, as published ones are; None without such runs."""
    group = made.group("l2", "probabilistic")
    return None if group is None else group.table


def _subset(runs: Sequence[Run], reference: str) -> int | None:
    """The number of images, if all runs are on one published subset: every k-th image, or all."""
    for step in (PROTOCOLS[reference], 1):
        wanted = np.arange(0, IMAGES[reference], step)
        if all(np.array_equal(run.log.idx, wanted) for run in runs):
            return len(wanted)
    return None


def beside(made: Report, quoted: Sequence[Quoted], reference: str) -> str:
    """The section with our l2 rows and the published ones; empty where we have no l2 radii."""
    table = published_kind(made)
    if table is None:
        return ""
    radii = (0.0, *table.radii)
    shown = with_curves(quoted, radii)
    note = _on_which_images(made.runs, quoted, reference)
    if len(shown) < len(quoted):
        note += (
            f" {len(quoted) - len(shown)} published rows without certified accuracies at these "
            "radii are only in beside_published.csv."
        )
    header = ["", "method", "σ", "images", *(f"{radius:g}" for radius in radii), "ACR", "table"]
    lines = [
        "## Beside the published tables",
        "",
        f"{note} Radii are l2. Rows marked measured were computed here from our own records; rows "
        "marked quoted are others' figures (benchmarks/reference/), and their networks, epochs and "
        "hardware differ from ours.",
        "",
        md_row(*header),
        md_rule(len(header), names=2),
    ]
    lines += [_measured(row) for row in table.rows if row.name != "constant classifier"]
    lines += [_quoted(row, radii) for row in shown]
    return "\n".join(lines) + "\n"


def _on_which_images(runs: Sequence[Run], quoted: Sequence[Quoted], reference: str) -> str:
    subset = _subset(runs, reference)
    if subset is None or subset not in {row.images for row in quoted}:
        return "Ours are on other images than any published table: compare with care."
    return (
        f"All rows that state their images are on {subset:,} images of the test set, "
        "ours on the same ones."
    )


def beside_at_linf(made: Report, quoted: Sequence[Quoted], reference: str) -> str:
    """The section with our linf accuracies and the published ones at the same radii, if any."""
    tables = [group.linf for group in made.groups if group.linf is not None]
    if not tables:
        return ""
    epsilons = tables[0].epsilons
    radii = [linf_to_l2(epsilon, VALUES[reference]) for epsilon in epsilons]
    # Nobody published deterministic certificates of a subset.
    published = [*quoted, *(row for row in find(reference) if row.deterministic)]
    theirs = [
        _quoted_at_linf(row, cells)
        for row in published
        if row.kind.startswith("linf")
        and any((cells := _nearest(row, epsilons if row.deterministic else radii))[1:])
    ]
    if not theirs:
        return ""
    ours = [text for found in tables for text in _measured_at_linf(found.table)]
    names = [f"linf {pixel_fraction(epsilon)}" for epsilon in epsilons]
    columns = ["", "method", "certificate", "σ", "images", "clean", *names, "table"]
    header = [
        "## Beside the published linf figures",
        "",
        md_row(*columns),
        md_rule(len(columns), names=3),
    ]
    return "\n".join([*header, *ours, *theirs]) + "\n"


def _measured_at_linf(table: Table) -> list[str]:
    """Our rows; the constant classifier is left out."""
    certificate = f"{table.norm}, {table.kind}"
    return [
        _at_linf("measured", row.name, certificate, row.sigma, row.images, _accuracies(row), "")
        for row in table.rows
        if row.name != "constant classifier"
    ]


def _quoted_at_linf(row: Quoted, cells: Sequence[str]) -> str:
    """A published row; without containment, its certificates are linf ones of bounds."""
    certificate = "linf, deterministic" if row.deterministic else "l2, probabilistic"
    label = f"{row.label}: {row.note}" if row.deterministic and row.note else row.label
    if not row.sound:
        certificate = "-"
        cells = [cells[0], *(cell and f"({cell})" for cell in cells[1:])]
    return _at_linf("quoted", label, certificate, row.sigma, row.images, cells, row.table)


def _nearest(row: Quoted, radii: Sequence[float]) -> list[str]:
    """The published accuracies at 0 and at radii in the norm of the row.

    Published linf tables round the radii to five decimals.
    """
    found = [
        next(
            (percent for radius, percent in row.accuracy.items() if abs(radius - wanted) < 5e-5),
            None,
        )
        for wanted in (0.0, *radii)
    ]
    return ["" if percent is None else f"{percent:g}" for percent in found]


def _at_linf(
    origin: str,
    name: str,
    certificate: str,
    sigma: float | None,
    images: int | None,
    cells: Sequence[str],
    table: str,
) -> str:
    return md_row(origin, name, certificate, _known(sigma), str(images or ""), *cells, table)


def _accuracies(row: Row) -> list[str]:
    """Accuracies in percent; certified ones in brackets where the row is not sound."""
    cells = ["-" if value is None else f"{100 * value:.1f}" for value in row.accuracy]
    return cells if row.sound else [cells[0], *(f"({cell})" for cell in cells[1:])]


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def with_curves(quoted: Sequence[Quoted], radii: Sequence[float]) -> list[Quoted]:
    """The published rows with a certified accuracy at one of the radii above 0."""
    return [
        row
        for row in quoted
        if any(radius > 0 and radius in row.accuracy for radius in radii)
        and "not certified" not in row.note
    ]


def _measured(row: Row) -> str:
    acr = "" if row.acr is None else average_words(row)
    size = str(row.images or "")
    return md_row("measured", row.name, _known(row.sigma), size, *_accuracies(row), acr, "")


def _quoted(row: Quoted, radii: Sequence[float]) -> str:
    cells = [f"{row.accuracy[radius]:g}" if radius in row.accuracy else "" for radius in radii]
    acr = "" if row.acr is None else f"{row.acr:.3f}"
    note = f", {row.note}" if row.note else ""
    label = row.label if len(row.label) < 60 else row.method
    name, size = f"{label} ({row.kind}{note})", str(row.images or "")
    return md_row("quoted", name, _known(row.sigma), size, *cells, acr, row.table)


def write_csv(table: Table, quoted: Sequence[Quoted], path: Path) -> None:
    """Measured and quoted rows of l2 radii in one file, in percent, with the source of each."""
    radii = (0.0, *table.radii)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    at = [f"{radius:g}" for radius in radii]
    writer.writerow([*_FIRST_COLUMNS, *at, *_LAST_COLUMNS])
    writer.writerows(_measured_values(row) for row in table.rows)
    writer.writerows(_quoted_values(row, radii) for row in quoted)
    replace_file(path, text.getvalue().encode(), sync=False)


_FIRST_COLUMNS = ("origin", "method", "kind", "sigma", "images")
_LAST_COLUMNS = ("acr", "source", "acr_is_lower_bound")


def _measured_values(row: Row) -> list[Any]:
    cells = ["" if value is None else f"{100 * value:.2f}" for value in row.accuracy]
    bound = None if row.acr is None else row.acr_is_bound
    return ["measured", row.name, "run", row.sigma, row.images, *cells, row.acr, "this run", bound]


def _quoted_values(row: Quoted, radii: Sequence[float]) -> list[Any]:
    cells = [row.accuracy.get(radius, "") for radius in radii]
    first = ["quoted", row.label, row.kind, row.sigma, row.images]
    return [
        *first,
        *cells,
        row.acr,
        f"{row.table}: {row.source}",
        None if row.acr is None else False,
    ]
