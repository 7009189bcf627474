"""Certified accuracy at linf radii by containment of balls, whatever the norm of the record."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_radius, rounded_up
from rsmooth.records.converting import recorded_dimension
from rsmooth.records.norms import covering_radius
from rsmooth.report.blocks import Grid, Section
from rsmooth.report.runs import Run
from rsmooth.report.tables import Table, build_table, percentages, pixel_fraction


@dataclass(frozen=True)
class LinfTable:
    """One group's runs at the linf radii ``epsilons`` (without 0).

        report(["runs/a"], linf=[2 / 255]).linf.table

    table: the same rows, at the radii in their own norm that cover the linf radii, rounded up.
    dimension: values per image; None for linf records, which need none.
    """

    epsilons: tuple[float, ...]
    dimension: int | None
    table: Table


def linf_table(
    runs: Sequence[Run], epsilons: Sequence[float], dimension: int | None = None
) -> LinfTable:
    """Certified accuracy of runs of one norm and kind at linf radii.

        linf_table(load_runs(["runs/a", "sigma_0.25"]), [2 / 255], dimension=3072)

    epsilons: linf radii in [0, 1] pixel units.
    dimension: values per image, C * H * W. Needed where a record in another norm does not hold the
        shape of its images.

    RecordError where the dimension is not known, and where records or the argument differ in it.
    ValueError for no radius above 0.
    """
    wanted = sorted({check_radius(epsilon) for epsilon in epsilons if epsilon})
    if not wanted:
        raise ValueError("expected at least one linf radius above 0, got none; e.g. 2/255")
    norm = runs[0].statement.norm
    size = common_dimension(runs, dimension, needed=norm != "linf")
    values = 1 if size is None else size
    radii = [covering_radius(each, values, "linf", target=norm) for each in wanted]
    return LinfTable(tuple(wanted), size, build_table(runs, radii))


def linf_section(found: LinfTable) -> list[Section]:
    """The table under its own heading, and the rule that it follows."""
    names = [pixel_fraction(epsilon) for epsilon in found.epsilons]
    header = ("method", "clean", *(f"linf {name}" for name in names))
    rows = tuple((row.name, *percentages(row)) for row in found.table.rows)
    note = f"In %, ± standard error. {_rule(found, names)}"
    return [Section("At linf radii", (Grid(header, rows), note), level=3)]


def _rule(found: LinfTable, names: Sequence[str]) -> str:
    norm = found.table.norm
    if norm == "linf":
        return (
            "These records state linf radii themselves. The l2 ball and the l1 ball of a radius "
            "lie in the linf ball of that radius."
        )
    covers = ", ".join(
        f"{name} by {rounded_up(radius, 4)}"
        for name, radius in zip(names, found.table.radii, strict=True)
    )
    factor = {"l2": f"√{found.dimension}", "l1": f"{found.dimension}"}[norm]
    also = (
        " An l1 ball lies in the l2 ball of its own radius: for l1, read the l2 table as it is."
        if norm == "l2"
        else ""
    )
    return (
        f"By containment: an linf ball of radius ε lies in the {norm} ball of radius ε·{factor} "
        f"({covers}).{also}"
    )


def linf_csv(tables: Sequence[LinfTable]) -> str:
    """One line per method and radius, in full precision: accuracies as fractions.

    ``norm`` and ``kind`` are those of the record, and ``radius`` is in that norm.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    own = ["method", "norm", "kind", "sound", "noise", "sigma", "images", "dimension"]
    writer.writerow([*own, "linf", "radius", "certified", "certified_se"])
    for found in tables:
        points = list(zip((0.0, *found.epsilons), (0.0, *found.table.radii), strict=True))
        for row in found.table.rows:
            errors = row.accuracy_error or (None,) * len(row.accuracy)
            for (epsilon, radius), *values in zip(points, row.accuracy, errors, strict=True):
                said = [row.name, found.table.norm, found.table.kind, row.sound, row.noise]
                size = [row.sigma, row.images, found.dimension]
                writer.writerow([*said, *size, epsilon, radius, *values])
    return out.getvalue()


def common_dimension(runs: Sequence[Run], dimension: int | None, *, needed: bool) -> int | None:
    """The values per image of the runs, or of the argument; None where it is not needed.

    RecordError where it is not known, or where runs and argument differ.
    """
    known = {run.name: size for run in runs if (size := recorded_dimension(run.log)) is not None}
    unknown = [run.name for run in runs if run.name not in known]
    if needed and dimension is None and unknown:
        raise RecordError(
            f"expected the shape of the images in the record of {', '.join(unknown)}, got none; "
            "say their number of values C*H*W with dimension, e.g. 3072 for CIFAR-10"
        )
    sizes = {*known.values(), *([] if dimension is None else [dimension])}
    if needed and len(sizes) > 1:
        named = ", ".join(f"{name} {size}" for name, size in known.items())
        apart = len({*known.values()}) > 1
        remedy = "report them apart" if apart else "leave the dimension out"
        raise RecordError(
            "expected images of one size, got "
            f"{named}{'' if dimension is None else f', {dimension=}'}; "
            f"an linf radius means another radius in each: {remedy}"
        )
    return next(iter(sizes), None) if needed else None
