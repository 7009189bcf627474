"""Certified accuracy at linf radii: the l2 table read at the radii of the l2 balls that hold the
linf balls.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.norms import linf_to_l2
from rsmooth.report.runs import Run
from rsmooth.report.tables import Row, build_table, md_row, md_rule, percentages


@dataclass(frozen=True)
class LinfTable:
    """Rows over the linf radii ``epsilons`` (without 0), of images with ``dimension`` values each.

    ``l2``: the l2 radii that stand for them, epsilon * sqrt(dimension), rounded up; ``rows``: as of
    a ``Table`` of those radii.
    """

    epsilons: tuple[float, ...]
    dimension: int
    l2: tuple[float, ...]
    rows: tuple[Row, ...]


def linf_table(
    runs: Sequence[Run], epsilons: Sequence[float], dimension: int | None = None
) -> LinfTable:
    """Certified accuracy of all runs at linf radii.

    ``dimension``: values of an image, C * H * W; needed where a record does not hold the shape of
    its images. RecordError where it is not known, or not the same in all records and as said;
    ValueError for no radius above 0.
    """
    wanted = sorted({float(epsilon) for epsilon in epsilons if epsilon})
    if not wanted:
        raise ValueError("expected at least one linf radius above 0, got none; e.g. 2/255")
    size = _common_dimension(runs, dimension)
    radii = [linf_to_l2(epsilon, size) for epsilon in wanted]
    return LinfTable(tuple(wanted), size, tuple(radii), build_table(runs, radii).rows)


def linf_section(table: LinfTable) -> str:
    """The table in Markdown under a heading of its own, with what the radii mean in l2 and l1."""
    names = [pixel_fraction(epsilon) for epsilon in table.epsilons]
    lines = [
        md_row("method", "clean", *(f"linf {name}" for name in names)),
        md_rule(len(names) + 2),
    ]
    lines += [md_row(row.name, *percentages(row)) for row in table.rows]
    covers = ", ".join(
        f"{name} by {radius:.4f}" for name, radius in zip(names, table.l2, strict=True)
    )
    return "\n".join(
        [
            "## At linf radii\n",
            *lines,
            "",
            "In %, ± standard error, by containment: an linf ball of radius ε lies in the l2 "
            "of radius "
            f"ε·√{table.dimension} ({covers}). An l1 ball lies in the l2 ball of its own radius: "
            "for l1, "
            "read the l2 table as it is.\n",
        ]
    )


def linf_csv(table: LinfTable) -> str:
    """One line a method and radius, in full precision: accuracies as fractions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["method", "sigma", "images", "dimension", "linf", "l2", "certified", "certified_se"]
    )
    for row in table.rows:
        errors = row.accuracy_error or (None,) * len(row.accuracy)
        for values in zip(
            (0.0, *table.epsilons), (0.0, *table.l2), row.accuracy, errors, strict=True
        ):
            writer.writerow([row.name, row.sigma, row.images, table.dimension, *values])
    return out.getvalue()


def pixel_fraction(value: float) -> str:
    """A radius as the field writes it: 2/255 where it is a whole number of 8-bit steps, else four
    digits.
    """
    steps = round(255 * value)
    return f"{steps}/255" if math.isclose(value, steps / 255, rel_tol=1e-9) else f"{value:.4g}"


def _common_dimension(runs: Sequence[Run], dimension: int | None) -> int:
    known = {run.name: found for run in runs if (found := _dimension(run)) is not None}
    unknown = [run.name for run in runs if run.name not in known]
    if dimension is None and unknown:
        raise RecordError(
            f"expected the shape of the images in the record of {', '.join(unknown)}, got none; "
            "say "
            "their number of values C*H*W with dimension, e.g. 3072 for CIFAR-10"
        )
    sizes = {*known.values(), *([] if dimension is None else [dimension])}
    if len(sizes) > 1:
        named = ", ".join(f"{name} {size}" for name, size in known.items())
        raise RecordError(
            "expected images of one size, got "
            f"{named}{'' if dimension is None else f', {dimension=}'}; "
            "an linf radius means another l2 radius in each: report them apart"
        )
    return sizes.pop()


def _dimension(run: Run) -> int | None:
    data = run.setting("dataset")
    shape = data.get("shape") if isinstance(data, dict) else None
    return None if shape is None else math.prod(map(int, shape))
