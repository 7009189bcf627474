"""A table of a report as LaTeX for a paper: chosen columns, the best in bold, a caption."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rsmooth.report.columns import places_of
from rsmooth.report.looks import Page
from rsmooth.report.tables import Row, Table, cells_of, header_of

NORMS = {"l1": r"$\ell_1$", "l2": r"$\ell_2$", "linf": r"$\ell_\infty$"}
_BEFORE = ("method", "noise", "images")


def to_latex(
    table: Table,
    columns: Sequence[str] | None = None,
    *,
    caption: str = "Certified accuracy",
    label: str | None = None,
    width: float | None = None,
) -> str:
    r"""The table as a float of LaTeX with caption and label; the document needs booktabs.

        print(to_latex(report(["runs/a", "runs/b"]).table, ["clean", "0.25", "ACR"], width=3.25))

    columns: names of those to show, in this order, behind the method; None for all.
    caption: its beginning, in plain text; what the columns are follows.
    label: of ``\ref``; by default it names norm and kind.
    width: of the column that it is for, in inches. Below five, letters have 8 points, and the
        caption has the largest standard errors in place of the cells.

    Bold is the highest value of a column among the sound runs, whatever its error; equal values
    share it. Nothing is bold where the runs are on different images, or where there is only one,
    nor any ACR where one of them is a lower bound.
    ValueError for a column that the table lacks.
    """
    places = places_of(columns, table)
    header = [header_of(table)[place] for place in places]
    best = _best(table) if table.same_images else {}
    narrow = width is not None and Page(width).size <= 8
    sides = "".join("l" if name in _BEFORE[:2] else "r" for name in header)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering",
        *([r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"] if narrow else []),
        rf"\caption{{{escape_latex(caption)}. {_meaning(table, header, bool(best), narrow)}}}",
        rf"\label{{{label or f'tab:certified-{as_word(table.norm)}-{table.kind}'}}}",
        rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}",
        r"\toprule",
        " & ".join(map(_heading, header)) + r" \\",
        r"\midrule",
        *_body(table, places, best, narrow),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _body(
    table: Table, places: Sequence[int], best: Mapping[int, set[int]], narrow: bool
) -> list[str]:
    """The runs, and below a rule what they are compared with."""
    rows = []
    for number, row in enumerate(table.rows):
        cells = cells_of(row)
        shown = [_cell(cells[at], number in best.get(at, ()), not narrow) for at in places]
        if shown[0][:1] in ("[", "*"):  # which the end of the row before would take for its own
            shown[0] = "{}" + shown[0]
        rows.append(" & ".join(shown) + r" \\")
    runs = sum(row.statement is not None for row in table.rows)
    between = [r"\midrule"] if 0 < runs < len(rows) else []
    return [*rows[:runs], *between, *rows[runs:]]


def _best(table: Table) -> dict[int, set[int]]:
    """For each column with figures, the rows of the runs that are highest in it."""
    runs = [n for n, row in enumerate(table.rows) if row.statement is not None and row.sound]
    if len(runs) < 2:
        return {}
    first = len(_BEFORE)
    columns = {first + k: [row.accuracy[k] for row in table.rows] for k in range(_radii(table))}
    if not any(row.acr_is_bound for row in table.rows):
        columns[first + _radii(table)] = [row.acr for row in table.rows]
    found = {}
    for place, values in columns.items():
        known = {n: value for n in runs if (value := values[n]) is not None}
        if known:
            found[place] = {n for n, value in known.items() if value == max(known.values())}
    return found


def _radii(table: Table) -> int:
    """The columns of accuracies: clean, and one per radius."""
    return 1 + len(table.radii)


def _cell(text: str, bold: bool, with_error: bool) -> str:
    value, plus_minus, error = text.partition(" ± ")
    if plus_minus and not with_error:
        value, plus_minus = value + (")" if value.startswith("(") else ""), ""
    shown = escape_latex(value)
    shown = rf"\textbf{{{shown}}}" if bold else shown
    return rf"{shown} {{\scriptsize $\pm$ {escape_latex(error)}}}" if plus_minus else shown


def _heading(name: str) -> str:
    return rf"$r={name[2:]}$" if name.startswith("r=") else escape_latex(name)


def _meaning(table: Table, header: Sequence[str], bold: bool, narrow: bool) -> str:
    """What the columns that are shown mean, in LaTeX."""
    norm = NORMS.get(table.norm, escape_latex(table.norm))
    certain = " and ".join(dict.fromkeys(_certain(row) for row in table.rows if row.statement))
    said = [f"Certified at {norm} radii, {certain or escape_latex(table.kind)}."]
    plain = r"Accuracies in \%, $\pm$ standard error over the images."
    said += [_largest_errors(table, header) if narrow else plain]
    bound = any(row.acr_is_bound for row in table.rows)
    known = r"; $\geq$ where only some radii were asked for" if bound else ""
    said += [f"ACR: average certified radius{known}."] if "ACR" in header else []
    if not all(row.sound for row in table.rows):
        said += ["Figures in brackets: of a rule that is known to prove nothing."]
    said += ["Bold: the highest of its column, whatever its error."] if bold else []
    said += [] if table.same_images else ["The runs are not on the same images."]
    return " ".join(said)


def _largest_errors(table: Table, header: Sequence[str]) -> str:
    """The largest standard errors of the columns that are shown, of all runs."""
    names = header_of(table)[len(_BEFORE) :]
    shown = [k for k in range(_radii(table)) if names[k] in header]
    errors = [row.accuracy_error[k] for row in table.rows if row.accuracy_error for k in shown]
    most = max((100 * error for error in errors if error is not None), default=None)
    acr = max((row.acr_error for row in table.rows if row.acr_error is not None), default=None)
    said = [] if most is None else [f"{most:.1f} points"]
    said += [] if acr is None or "ACR" not in header else [f"{acr:.3f} for the ACR"]
    last = f"; standard errors over the images are at most {', '.join(said)}" if said else ""
    return rf"Accuracies in \%{last}."


def _certain(row: Row) -> str:
    said = row.statement
    assert said is not None
    if said.kind == "deterministic":
        return said.kind
    alpha = r"\alpha$ not recorded" if said.alpha is None else rf"\alpha={said.alpha:g}$"
    return f"{said.kind} (${alpha})"


def as_word(text: str) -> str:
    """A unit as a part of a label, or of the name of a file."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text)


def escape_latex(text: str) -> str:
    """``text`` with LaTeX's special characters made harmless."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "≥": r"$\geq$",
        "σ": r"$\sigma$",
        "λ": r"$\lambda$",
        "±": r"$\pm$",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
    return "".join(special.get(character, character) for character in text)
