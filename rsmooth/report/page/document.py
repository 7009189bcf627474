"""A report as one HTML page: its tables sorted and filtered, its curves read at the pointer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsmooth._version import __version__
from rsmooth.report.document import Group, Report
from rsmooth.report.page.charts import Chart, accuracy_chart, difference_chart, probability_chart
from rsmooth.report.page.images import image_rows
from rsmooth.report.page.rendering import render, write_html
from rsmooth.report.sections import caveats_section, overview, provenance_section


def write_page(
    made: Report,
    path: str | Path,
    pictures: Mapping[int, NDArray[np.uint8]] | None = None,
    classes: Sequence[str] | None = None,
) -> Path:
    """Write a report as one file that needs no network; returns its path.

        write_page(report(["runs/a", "runs/b"]), "report.html")

    pictures: uint8 (H, W) or (H, W, 3) by idx, for the rows of images.
    classes: names of the classes.

    It says what the text report says, caveats first, and shows each image beside it.
    """
    return write_html(page(made, pictures, classes), path)


def page(
    made: Report,
    pictures: Mapping[int, NDArray[np.uint8]] | None = None,
    classes: Sequence[str] | None = None,
) -> str:
    """The text of the file that ``write_page`` writes.

    page(report(["runs/a"])).startswith("<!doctype html>")
    """
    return render(
        "report.html",
        title=made.title,
        version=__version__,
        runs=[run.label for run in made.runs],
        care=caveats_section(made.runs, made.left_out),
        before=overview([group.table for group in made.groups]),
        groups=[_group(group) for group in made.groups],
        behind=[*made.kinds_blocks, *provenance_section(made.runs)],
        images=image_rows(made.runs, pictures or {}, classes),
    )


def _group(group: Group) -> dict[str, Any]:
    start = group.table.radii[0] if group.table.radii else 0.0
    charts: list[Chart | None] = [accuracy_chart(group.runs, start)]
    if group.baseline is not None and len(group.runs) > 1:
        charts.append(difference_chart(group.runs, group.baseline, start))
    if group.counted:
        charts.append(probability_chart(group.counted, group.runs))
    return {
        "caption": group.table.caption,
        "sections": group.blocks,
        "charts": [chart for chart in charts if chart is not None],
    }
