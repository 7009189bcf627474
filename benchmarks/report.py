"""Our runs beside the published tables, radius by radius, with what is measured here and what is
quoted told apart.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.arm import SUMMARY
from benchmarks.reference import Quoted, find
from rsmooth.report import Report, Row, Run, md_row, pixel_fraction, report, to_markdown

PROTOCOLS = {"cifar10": 20, "imagenet": 100}
"""Every how-many-eth test image the published logs certify."""


def report_runs(
    folders: Sequence[Path],
    *,
    title: str,
    out: Path | None = None,
    radii: Sequence[float] | None = None,
    reference: str | None = None,
    brief: bool = False,
    linf: Sequence[float] | None = None,
    dimension: int | None = None,
) -> str:
    """Compose the report of run folders or logs, print-ready; with ``out`` its files are written
    there.

    reference: "cifar10" or "imagenet" adds the published rows for the same subset of images; None
    or "none" adds none. linf, dimension: as of ``rsmooth.report.report``; the published linf rows
    of those radii are set beside ours.
    brief: return the table alone and the names of the files. ValueError for an unknown reference.
    """
    made = report(list(folders), out, radii=radii, title=title, linf=linf, dimension=dimension)
    sections = [made.markdown, _machines(folders)]
    quoted = _comparable(made, reference)
    if reference not in (None, "none"):
        sections += [_beside(made, quoted, reference), _beside_at_linf(made, quoted)]
    text = "\n".join(section for section in sections if section)
    if out is not None:
        written = out / "report.md"
        figures = written.read_text(encoding="utf-8").removeprefix(made.markdown)
        written.write_text(f"{text}\n{figures}", encoding="utf-8")
        if quoted:
            _write_csv(made, quoted, out / "beside_published.csv")
    if not brief:
        return text
    files = "".join(f"wrote {path}\n" for path in made.files if path.suffix != ".pdf")
    return f"{to_markdown(made.table)}\n{files}"


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Run folders among ``paths`` and directly below them, and logs as they are; ValueError where
    there is none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir() and not any(path.glob("certificates*")):
            found += sorted(
                child
                for child in path.iterdir()
                if child.is_dir() and any(child.glob("certificates*"))
            )
        else:
            found.append(path)
    if not found:
        raise ValueError(
            f"expected run folders or logs in {', '.join(map(str, paths))}, got none with "
            "certificates"
        )
    return found


def _comparable(made: Report, reference: str | None) -> list[Quoted]:
    """The published rows on as many images at the sigmas of our runs; all subsets where ours is
    none of theirs.
    """
    if reference in (None, "none"):
        return []
    assert reference is not None
    if reference not in PROTOCOLS:
        raise ValueError(
            f"expected reference to be one of {', '.join(PROTOCOLS)} or none, got {reference!r}"
        )
    sigmas = {float(run.setting("sigma")) for run in made.runs if run.setting("sigma") is not None}
    images = _subset(made.runs, reference)
    return find(reference, images=images, sigmas=sorted(sigmas) if sigmas else None)


def _subset(runs: Sequence[Run], reference: str) -> int | None:
    """How many images all runs share with the published protocol: 500 of every 20th, or all; None
    for other subsets.
    """
    stride = PROTOCOLS[reference]
    for run in runs:
        strided = bool((run.log.idx % stride == 0).all())
        whole = len(run.log) == int(run.log.idx.max()) + 1
        if not (strided or whole) or len(run.log) != len(runs[0].log):
            return None
    return len(runs[0].log)


def _beside(made: Report, quoted: Sequence[Quoted], reference: str) -> str:
    radii = (0.0, *made.table.radii)
    sizes = sorted({row.images for row in quoted if row.images is not None})
    subset = _subset(made.runs, reference)
    if subset is None or subset not in sizes:
        told = "Ours are on other images than any published table: read across with care."
    else:
        told = (
            f"All rows that state it are on {subset:,} images of the test set, ours on the "
            "same ones."
        )
    shown = with_curves(quoted, radii)
    if len(shown) < len(quoted):
        told += (
            f" {len(quoted) - len(shown)} published rows without certified accuracies at these "
            "radii stand in "
            "beside_published.csv alone."
        )
    lines = [
        "## Beside the published tables",
        "",
        f"{told} Rows marked measured were computed here from our own records; rows marked quoted "
        "are others' "
        "figures (benchmarks/reference/), and their networks, epochs and hardware differ from "
        "ours.",
        "",
        "| | method | σ | images | "
        + " | ".join(f"{radius:g}" for radius in radii)
        + " | ACR | table |",
        "|---|---|---:|---:|" + "---:|" * (len(radii) + 1) + "---|",
    ]
    lines += [_measured(row) for row in made.table.rows if row.name != "constant classifier"]
    lines += [_quoted(row, radii) for row in shown]
    return "\n".join(lines) + "\n"


def _beside_at_linf(made: Report, quoted: Sequence[Quoted]) -> str:
    """Our linf accuracies and the published ones at the same radii; nothing where none are
    published.
    """
    table = made.linf
    if table is None:
        return ""
    lines = [
        _at_linf("quoted", row.label, row.sigma, row.images, cells, row.table)
        for row in quoted
        if row.kind.startswith("linf") and any((cells := _at_l2(row, table.l2))[1:])
    ]
    if not lines:
        return ""
    ours = [
        _at_linf(
            "measured",
            row.name,
            row.sigma,
            row.images,
            [f"{100 * value:.1f}" for value in row.accuracy],
            "",
        )
        for row in table.rows
        if row.name != "constant classifier"
    ]
    names = [f"linf {pixel_fraction(epsilon)}" for epsilon in table.epsilons]
    header = [
        "## Beside the published linf figures",
        "",
        md_row("", "method", "σ", "images", "clean", *names, "table"),
        "|---|---|---:|---:|" + "---:|" * (len(names) + 1) + "---|",
    ]
    return "\n".join([*header, *ours, *lines]) + "\n"


def _at_l2(row: Quoted, radii: Sequence[float]) -> list[str]:
    """The published accuracies at 0 and at l2 radii, which published linf tables round to five
    decimals.
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
    sigma: float | None,
    images: int | None,
    cells: Sequence[str],
    table: str,
) -> str:
    return md_row(
        origin, name, "" if sigma is None else f"{sigma:g}", str(images or ""), *cells, table
    )


def with_curves(quoted: Sequence[Quoted], radii: Sequence[float]) -> list[Quoted]:
    """The published rows that say a certified accuracy at one of the radii above 0."""
    return [
        row
        for row in quoted
        if any(radius > 0 and radius in row.accuracy for radius in radii)
        and "not certified" not in row.note
    ]


def _measured(row: Row) -> str:
    cells = [f"{100 * value:.1f}" for value in row.accuracy]
    acr = "" if row.acr is None else f"{row.acr:.3f}"
    sigma = "" if row.sigma is None else f"{row.sigma:g}"
    return (
        f"| measured | {row.name} | {sigma} | {row.images or ''} | {' | '.join(cells)} | {acr} | |"
    )


def _quoted(row: Quoted, radii: Sequence[float]) -> str:
    cells = [f"{row.accuracy[radius]:g}" if radius in row.accuracy else "" for radius in radii]
    acr = "" if row.acr is None else f"{row.acr:.3f}"
    sigma = "" if row.sigma is None else f"{row.sigma:g}"
    note = f", {row.note}" if row.note else ""
    label = row.label if len(row.label) < 60 else row.method
    return (
        f"| quoted | {label} ({row.kind}{note}) | {sigma} | {row.images or ''} | "
        f"{' | '.join(cells)} | {acr} | "
        f"{row.table} |"
    )


def _write_csv(made: Report, quoted: Sequence[Quoted], path: Path) -> None:
    """Measured and quoted rows in one file, in percent, with the source of each."""
    radii = (0.0, *made.table.radii)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [
                "origin",
                "method",
                "kind",
                "sigma",
                "images",
                *(f"{radius:g}" for radius in radii),
                "acr",
                "source",
            ]
        )
        for ours in made.table.rows:
            writer.writerow(
                [
                    "measured",
                    ours.name,
                    "run",
                    ours.sigma,
                    ours.images,
                    *(f"{100 * value:.2f}" for value in ours.accuracy),
                    ours.acr,
                    "this run",
                ]
            )
        for row in quoted:
            writer.writerow(
                [
                    "quoted",
                    row.label,
                    row.kind,
                    row.sigma,
                    row.images,
                    *(row.accuracy.get(radius, "") for radius in radii),
                    row.acr,
                    f"{row.table}: {row.source}",
                ]
            )


def _machines(folders: Sequence[Path]) -> str:
    """On what the runs were made, where they say so: one line for each different answer."""
    origins: dict[str, list[str]] = {}
    for folder in folders:
        path = folder / SUMMARY
        if path.is_file():
            summary = json.loads(path.read_text(encoding="utf-8"))
            origins.setdefault(_machine(summary["provenance"]), []).append(folder.name)
    if not origins:
        return ""
    return (
        "## Measured on\n\n"
        + "\n".join(f"- {', '.join(names)}: {text}" for text, names in origins.items())
        + "\n"
    )


def _machine(made: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items() if number)
    where = made["gpu"] or f"{made['cpu']}, {made['threads']} of {made['cores']} threads"
    return (
        f"{where}; Python {made['python']}, {versions}; commit {made['commit']}; "
        f"`{made['command']}`; "
        f"{made['date'][:10]}"
    )
