"""A table of a report as CSV and as LaTeX; Markdown is in tables.py."""

from __future__ import annotations

import csv
import io

from rsmooth.report.tables import Row, Table, cells_of, header_of

_CSV_BEFORE = ("method", "norm", "kind", "alpha", "certificate", "noise", "sigma", "images")
_CSV_BEHIND = (
    "acr",
    "acr_se",
    "abstained",
    "predicted_classes",
    "train_seconds",
    "train_cpu_seconds",
    "certify_seconds",
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
    ]


def to_latex(table: Table) -> str:
    """The table in LaTeX (package booktabs), under a line that names norm and kind.

    print(to_latex(report(["runs/a", "runs/b"]).table))
    """
    header = header_of(table)
    norm = {"l1": r"$\ell_1$", "l2": r"$\ell_2$", "linf": r"$\ell_\infty$"}.get(
        table.norm, table.norm
    )
    lines = [
        r"\begin{tabular}{l" + "r" * (len(header) - 1) + "}",
        r"\toprule",
        rf"\multicolumn{{{len(header)}}}{{l}}{{Certified at {norm} radii, {table.kind}}} \\",
        r"\midrule",
        " & ".join(map(escape_latex, header)) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        cells = [escape_latex(cell).replace("±", r"$\pm$") for cell in cells_of(row)]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def escape_latex(text: str) -> str:
    """``text`` with LaTeX's special characters made harmless."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "σ": r"$\sigma$",
        "λ": r"$\lambda$",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
    return "".join(special.get(character, character) for character in text)
