"""Methods by radii: one table, rendered as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rsmooth.records.log import image_difference
from rsmooth.records.metrics import (
    abstention_rate,
    average_certified_radius,
    best_runs,
    certified_accuracy,
    constant_classifier_accuracy,
    predicted_classes,
)
from rsmooth.records.statistics import accuracy_standard_error, radius_standard_error
from rsmooth.report.runs import Run, TrainingTime

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One method. ``accuracy`` and ``accuracy_error``: fractions at radius 0 (clean) and at each
    radius of the table.

    ``acr``: average certified radius. What is not known, or has no meaning for the row, is None.
    """

    name: str
    accuracy: tuple[float, ...]
    accuracy_error: tuple[float, ...] | None = None
    acr: float | None = None
    acr_error: float | None = None
    sigma: float | None = None
    images: int | None = None
    abstained: float | None = None
    classes: int | None = None
    training: TrainingTime | None = None
    certify_seconds: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows over ``radii`` (without 0, which every row has first)."""

    radii: tuple[float, ...]
    rows: tuple[Row, ...]


def build_table(runs: Sequence[Run], radii: Sequence[float]) -> Table:
    """A row a run; below them the upper envelope (of several runs on the same images) and the
    constant classifier.
    """
    wanted = [0.0, *radii]
    rows = [_row(run, wanted) for run in runs]
    first = runs[0].log
    if len(runs) > 1 and all(image_difference(first, run.log) is None for run in runs[1:]):
        winners = best_runs([run.log for run in runs], wanted)
        rows.append(
            Row(
                "upper envelope",
                tuple(rows[winner].accuracy[k] for k, winner in enumerate(winners)),
                images=len(first),
            )
        )
    cap = max(run.largest_radius for run in runs)
    constant = constant_classifier_accuracy(first, wanted, cap)
    rows.append(
        Row(
            "constant classifier",
            tuple(map(float, constant)),
            acr=float(constant[0]) * cap,
            images=len(first),
            classes=1,
        )
    )
    return Table(tuple(map(float, radii)), tuple(rows))


def to_markdown(table: Table) -> str:
    """The table in Markdown: percentages and radii, each ± its standard error."""
    header = _header(table)
    lines = [md_row(*header), md_rule(len(header)), *(md_row(*_cells(row)) for row in table.rows)]
    return "\n".join(lines) + "\n"


def md_row(*cells: str) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def md_rule(columns: int) -> str:
    """The line below a Markdown table's header: names to the left, figures to the right."""
    return "|---" + "|---:" * (columns - 1) + "|"


def percentages(row: Row) -> list[str]:
    """The accuracies of a row in percent, each ± its standard error where it has one."""
    errors = row.accuracy_error or (None,) * len(row.accuracy)
    return [
        _with_error(100 * value, None if error is None else 100 * error, 1)
        for value, error in zip(row.accuracy, errors, strict=True)
    ]


def to_csv(table: Table) -> str:
    """The table as CSV in full precision: accuracies as fractions, times in seconds, errors in
    their own columns.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    labels = ["clean", *(f"certified@{radius:g}" for radius in table.radii)]
    writer.writerow(
        [
            "method",
            "sigma",
            "images",
            *(name for label in labels for name in (label, f"{label}_se")),
            "acr",
            "acr_se",
            "abstained",
            "predicted_classes",
            "train_seconds",
            "train_cpu_seconds",
            "certify_seconds",
        ]
    )
    for row in table.rows:
        errors = row.accuracy_error or (None,) * len(row.accuracy)
        pairs = [value for pair in zip(row.accuracy, errors, strict=True) for value in pair]
        writer.writerow(
            [
                row.name,
                row.sigma,
                row.images,
                *pairs,
                row.acr,
                row.acr_error,
                row.abstained,
                row.classes,
                row.training and row.training.wall,
                row.training and row.training.cpu,
                row.certify_seconds,
            ]
        )
    return out.getvalue()


def to_latex(table: Table, *, clean_as_superscript: bool = False) -> str:
    """The table in LaTeX (package booktabs).

    ``clean_as_superscript`` prints the clean accuracy beside each certified one, as the field's
    papers do, and not in a column of its own.
    """
    header = _header(table)
    keep = [k for k, name in enumerate(header) if not (clean_as_superscript and name == "clean")]
    lines = [
        r"\begin{tabular}{l" + "r" * (len(keep) - 1) + "}",
        r"\toprule",
        " & ".join(escape_latex(header[k]) for k in keep) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        cells = [escape_latex(cell).replace("±", r"$\pm$") for cell in _cells(row)]
        if clean_as_superscript:
            certified = range(4, 4 + len(table.radii))
            cells = [
                f"{cell}$^{{({100 * row.accuracy[0]:.1f})}}$" if k in certified else cell
                for k, cell in enumerate(cells)
            ]
        lines.append(" & ".join(cells[k] for k in keep) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def escape_latex(text: str) -> str:
    """``text`` with LaTeX's special characters made harmless."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "σ": r"$\sigma$",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
    return "".join(special.get(character, character) for character in text)


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 3.4 min, 2.1 h."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _row(run: Run, radii: Sequence[float]) -> Row:
    log = run.log
    errors = accuracy_standard_error(log, radii)
    sigma = run.setting("sigma")
    return Row(
        run.name,
        tuple(map(float, certified_accuracy(log, radii))),
        tuple(map(float, errors)),
        average_certified_radius(log),
        radius_standard_error(log) if len(log) > 1 else None,
        None if sigma is None else float(sigma),
        len(log),
        abstention_rate(log),
        predicted_classes(log),
        run.training,
        run.certify_seconds,
    )


def _header(table: Table) -> list[str]:
    certified = (f"r={radius:g}" for radius in table.radii)
    return [
        "method",
        "σ",
        "images",
        "clean",
        *certified,
        "ACR",
        "abstained",
        "training",
        "certification",
    ]


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        _known(row.sigma, "{:g}".format),
        _known(row.images, "{:,}".format),
        *percentages(row),
        _with_error(row.acr, row.acr_error, 3),
        _known(row.abstained, lambda share: f"{100 * share:.1f}"),
        _known(row.training, _training),
        _known(row.certify_seconds, duration),
    ]


def _training(time: TrainingTime) -> str:
    return (
        f"{duration(time.cpu)} CPU" if time.by_cpu and time.cpu is not None else duration(time.wall)
    )


def _known(value: T | None, show: Callable[[T], str]) -> str:
    return "-" if value is None else show(value)


def _with_error(value: float | None, error: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if error is None else f"{value:.{digits}f} ± {error:.{digits}f}"
