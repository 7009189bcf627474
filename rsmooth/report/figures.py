"""Which figures a group of runs has, written into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsmooth.report.looks import Page, methods, save_figure
from rsmooth.report.multiples import comparable, differences_figure, multiples_figure
from rsmooth.report.plots import accuracy_figure, probability_figure
from rsmooth.report.runs import Run


def save_figures(
    runs: Sequence[Run],
    baseline: Run | None,
    out: Path,
    end: str = "",
    title: str = "",
    width: float | None = None,
) -> tuple[list[Path], list[str]]:
    """Draw the figures of runs of one statement; returns their files, and lines of Markdown.

        save_figures(runs, runs[0], Path("out"))

    baseline: of the differences; None draws none.
    end: of the files' names, before their suffix.
    width: in inches, for a paper, whose caption says what the title would; None is 7.2 and a title.
    """
    look: dict[str, Any] = {"title": title} if width is None else {"width": Page(width).width}
    alt = f"Certified accuracy against {runs[0].statement.measure} radius"
    drawn = {"curves": (alt, accuracy_figure(runs, **look))}
    counted = [run for run in runs if run.log.counts is not None]
    if counted:
        alt = "Probability of the true class under noise"
        drawn["probabilities"] = (alt, probability_figure(counted, among=runs, **look))
    if baseline is not None and comparable(runs, baseline):
        alt = f"Certified accuracy less that of {baseline.name}"
        drawn["differences"] = (alt, differences_figure(runs, baseline, **look))
    if len(set(methods(runs))) > 2:
        alt = "Certified accuracy, a panel per method"
        drawn["multiples"] = (alt, multiples_figure(runs, baseline=baseline, **look))
    files, links = [], []
    for name, (alt, figure) in drawn.items():
        files += save_figure(figure, out / f"{name}{end}")
        links.append(f"![{alt}]({name}{end}.png)\n")
    return files, links
