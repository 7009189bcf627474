"""Many runs in one figure without hiding one another: a panel for each, or differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.log import FloatArray, image_difference
from rsmooth.records.metrics import certified_accuracy
from rsmooth.records.pairs import changes, difference
from rsmooth.records.statement import check_one_group
from rsmooth.report.looks import (
    COLOURS,
    FAINT,
    INK,
    MOST_BANDS,
    NORMS,
    Page,
    dress,
    in_lines,
    legend_below,
    looks,
    marker,
    methods,
    new_figure,
    one_plot,
    shorten,
    shorten_apart,
)
from rsmooth.report.plots import curve_radii
from rsmooth.report.runs import NOT_SOUND, Run, check_any, reach_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 24
_MOST_RADII = 400  # of a curve of differences


def multiples_figure(
    runs: Sequence[Run], *, baseline: Run | None = None, title: str = "", width: float = 7.2
) -> Figure:
    """Small multiples: a panel per method, with its curve before those of all others in grey.

        save_figure(multiples_figure(load_runs(["runs/a", "runs/b", "runs/c"])), "multiples")

    baseline: drawn in each panel, dashed; the first run by default.
    width: in inches.

    The seeds of a method share a panel. The first 24 methods have one. RecordError for runs of
    different norms or kinds.
    """
    check_any(runs)
    check_one_group([run.statement for run in runs])
    page, norm = Page(width), runs[0].statement.norm
    unit = 255 if norm == "linf" else 1
    first = runs[0] if baseline is None else baseline
    names = methods(runs)
    panels = list(dict.fromkeys(names))[:MOST_PANELS]
    columns = min(len(panels), 2 + (len(panels) > 6) + (width > 4.5 and len(panels) > 9))
    rows = -(-len(panels) // columns)
    figure = new_figure(page, 0.72 * width / columns * rows + 0.5)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    titles = _titles(runs, panels, page.letters((1 - 0.8 / width) / columns))
    for axes, name, panel_title in zip(grid.flat, panels, titles, strict=False):
        own = [run for run, other in zip(runs, names, strict=True) if other == name]
        rest = [run for run, other in zip(runs, names, strict=True) if other != name]
        _panel(axes, own, rest, first, page, unit)
        axes.set_title(panel_title, loc="left", fontsize=page.size)
    _leave_out(grid, len(panels))
    grid[0, 0].set(xlim=(0, 1.02 * unit * max(reach_of(runs), 1e-9)), ylim=(0, 100))
    figure.supxlabel(_radius_words(runs), fontsize=page.size)
    figure.supylabel("certified accuracy (%)", fontsize=page.size)
    if title:
        figure.suptitle(in_lines(title, page, 0.9), fontsize=page.size + 1, x=0.01, ha="left")
    return figure


def _panel(
    axes: Any, own: Sequence[Run], rest: Sequence[Run], first: Run, page: Page, unit: float
) -> None:
    """The curves of a method before those of all others and the dashed one of ``first``."""
    for run in rest:
        _curve(axes, run, unit, color=FAINT, linewidth=page.line(0.7))
    _curve(axes, first, unit, color=INK, linewidth=page.line(1.2), linestyle=(0, (3, 1.5)))
    for run in own:
        _curve(axes, run, unit, color=COLOURS[0], linewidth=page.line(1.8), zorder=3)
    dress(axes, page)


def _leave_out(grid: Any, panels: int) -> None:
    """Hide the places behind the last panel; those above them have the ticks of their column."""
    for axes in grid.flat[panels:]:
        axes.set_visible(False)
    for axes in grid[:-1].flat[panels - grid.shape[1] :]:
        axes.tick_params(labelbottom=True)


def _titles(runs: Sequence[Run], panels: Sequence[str], letters: int) -> list[str]:
    """The name of each method, marked where its certificates are known to prove nothing."""
    unsound = [
        name for run, name in zip(runs, methods(runs), strict=True) if not run.statement.sound
    ]
    return [
        f"{title}\n{NOT_SOUND.strip()}" if name in unsound else title
        for name, title in zip(panels, shorten_apart(panels, letters), strict=True)
    ]


def _radius_words(runs: Sequence[Run]) -> str:
    norm = runs[0].statement.norm
    steps = " (steps of 1/255)" if norm == "linf" else ""
    return f"certified {NORMS.get(norm, runs[0].statement.measure)} radius{steps}"


def _curve(axes: Any, run: Run, unit: float, **line: Any) -> None:
    """The exact step curve of a run; points where it decided only some radii."""
    if run.asked is not None:
        radii = np.array(run.asked)
        line = {key: value for key, value in line.items() if key not in ("linestyle", "linewidth")}
        axes.plot(unit * radii, 100 * certified_accuracy(run.log, radii), "o", ms=3.5, **line)
        return
    radii = curve_radii(run.log)
    share = 100 * certified_accuracy(run.log, radii)
    axes.plot(unit * radii, share, drawstyle="steps-pre", **line)


def comparable(runs: Sequence[Run], baseline: Run) -> list[Run]:
    """The sound runs other than the baseline, on its images, that decided a radius that it did.

    comparable(runs, runs[0])

    None where the images are fewer than two.
    """
    if len(baseline.log) < 2 or not baseline.statement.sound:
        return []
    return [
        run
        for run in runs
        if run is not baseline
        and run.statement.sound
        and run.statement.group == baseline.statement.group
        and image_difference(baseline.log, run.log) is None
        and _radii_of_both(baseline, run) != []
    ]


def _radii_of_both(baseline: Run, run: Run) -> list[float] | None:
    """The radii that both decided; None where both decided all."""
    asked = run.asked if run.asked is not None else baseline.asked
    if asked is None:
        return None
    return [r for r in asked if run.decided(r) and baseline.decided(r)]


def differences_figure(
    runs: Sequence[Run], baseline: Run, *, title: str = "", width: float = 7.2
) -> Figure:
    """Certified accuracy less that of a baseline, image by image, against the radius.

        save_figure(differences_figure(runs, runs[0]), "differences")

    width: in inches.

    Bands are 1.96 paired standard errors, for up to four curves. Curves are evaluated at up to 400
    radii. RecordError where no run can be paired with the baseline.
    """
    others = comparable(runs, baseline)
    if not others:
        raise RecordError(
            f"expected sound runs on the images of {baseline.name}, at least two of them, to "
            "compare it with, got none; certify the same images"
        )
    page, unit = Page(width), 255 if baseline.statement.norm == "linf" else 1
    figure, axes = one_plot(title, page)
    name = shorten(baseline.name, page.letters(0.85))
    axes.axhline(0, color=INK, linewidth=page.line(1.4), label=name)
    for run, line in looks(others, page, among=runs):
        radii, mean, error = paired_curve(baseline, run)
        if run.asked is not None or baseline.asked is not None:
            _bars(axes, unit * radii, 100 * mean, 196 * error, line)
            continue
        axes.plot(unit * radii, 100 * mean, drawstyle="steps-pre", **line)
        if len(others) <= MOST_BANDS:
            low, high = 100 * mean - 196 * error, 100 * mean + 196 * error
            colour = line["color"]
            axes.fill_between(
                unit * radii, low, high, step="pre", color=colour, alpha=0.13, linewidth=0
            )
    axes.set(xlabel=_radius_words(runs), ylabel="difference (points)")
    axes.set_xlim(left=0)
    legend_below(axes, page)
    return figure


def _bars(axes: Any, radii: FloatArray, mean: FloatArray, half: FloatArray, line: Any) -> None:
    axes.errorbar(
        radii, mean, half, fmt=marker(line), color=line["color"], capsize=2, label=line["label"]
    )


def paired_curve(baseline: Run, run: Run) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Radii (R,), the difference run - baseline at them, and its paired standard error.

        radii, mean, error = paired_curve(runs[0], runs[1])

    The radii are those at which either curve steps, at most 400 of them, evenly chosen; or those
    that both decided, where one decided only some. The runs are ``comparable``.
    """
    decided = _radii_of_both(baseline, run)
    if decided is not None:
        radii = np.array(decided)
    else:
        steps = np.unique(np.concatenate([curve_radii(each.log) for each in (baseline, run)]))
        chosen = np.linspace(0, len(steps) - 1, min(len(steps), _MOST_RADII)).round().astype(int)
        radii = steps[chosen]
    mean, error = difference(*changes(baseline.log, run.log, radii), len(run.log))
    return radii, mean, error
