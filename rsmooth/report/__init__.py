"""Tables and figures from records. Nothing here loads a model."""

from rsmooth.report.document import Report, report
from rsmooth.report.linf import LinfTable, linf_table, pixel_fraction
from rsmooth.report.plots import accuracy_figure, attack_gap_figure, probability_figure, save_figure
from rsmooth.report.runs import Run, load_runs
from rsmooth.report.tables import Row, Table, build_table, md_row, to_csv, to_latex, to_markdown

__all__ = [
    "LinfTable",
    "Report",
    "Row",
    "Run",
    "Table",
    "accuracy_figure",
    "attack_gap_figure",
    "build_table",
    "linf_table",
    "load_runs",
    "md_row",
    "pixel_fraction",
    "probability_figure",
    "report",
    "save_figure",
    "to_csv",
    "to_latex",
    "to_markdown",
]
