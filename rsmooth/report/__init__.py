"""Tables and figures from records. Nothing here loads a model."""

from rsmooth.report.document import Report, report
from rsmooth.report.plots import accuracy_figure, attack_gap_figure, probability_figure, save_figure
from rsmooth.report.runs import Run, load_runs
from rsmooth.report.tables import Row, Table, build_table, to_csv, to_latex, to_markdown

__all__ = ["Report", "Row", "Run", "Table", "accuracy_figure", "attack_gap_figure", "build_table", "load_runs",
           "probability_figure", "report", "save_figure", "to_csv", "to_latex", "to_markdown"]
