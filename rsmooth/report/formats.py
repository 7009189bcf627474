"""A table of a report as CSV; Markdown is in tables.py, LaTeX in paper.py."""

from __future__ import annotations

import csv
import io

from rsmooth.report.tables import Row, Table

_CSV_BEFORE = ("method", "norm", "kind", "alpha", "certificate", "noise", "sigma", "images")
_CSV_BEHIND = (
    "acr",
    "acr_se",
    "abstained",
    "predicted_classes",
    "train_seconds",
    "train_cpu_seconds",
    "certify_seconds",
    "acr_is_lower_bound",
    "train_seconds_are_partial",
)


def to_csv(table: Table) -> str:
    """The table as CSV in full precision.

        print(to_csv(report(["runs/a", "runs/b"]).table))

    Accuracies are fractions, times are in seconds, and errors have their own columns. ``norm`` and
    ``kind`` say what the radii of a row are.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    labels = ["clean", *(f"certified@{name}" for name in table.radius_names)]
    columns = [name for label in labels for name in (label, f"{label}_se")]
    writer.writerow([*_CSV_BEFORE, *columns, *_CSV_BEHIND])
    writer.writerows(_csv_row(table, row) for row in table.rows)
    return out.getvalue()


def _csv_row(table: Table, row: Row) -> list[object]:
    errors = row.accuracy_error or (None,) * len(row.accuracy)
    said, training = row.statement, row.training
    return [
        row.name,
        table.norm,
        table.kind,
        said and said.alpha,
        said and (said.method if said.sound else f"{said.method} (not sound)"),
        row.noise,
        row.sigma,
        row.images,
        *(value for pair in zip(row.accuracy, errors, strict=True) for value in pair),
        row.acr,
        row.acr_error,
        row.abstained,
        row.classes,
        training and training.wall,
        training and training.cpu,
        row.certify_seconds,
        None if row.acr is None else row.acr_is_bound,
        training and training.partial,
    ]
