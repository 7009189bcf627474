"""Figures from records, drawn without a display and without global state.

matplotlib is imported when the first one is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import (
    certified_accuracy,
    constant_classifier_accuracy,
    label_probability,
)
from rsmooth.records.statement import Norm, check_one_group
from rsmooth.records.statistics import accuracy_interval
from rsmooth.report.looks import (
    COLOURS,
    CONTRADICTION,
    INK,
    MOST_BANDS,
    NORMS,
    Page,
    legend_below,
    looks,
    marker,
    one_plot,
)
from rsmooth.report.runs import Run, check_any, reach_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_TICKS = (1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def accuracy_figure(
    runs: Sequence[Run], *, bands: bool = True, title: str = "", width: float = 7.2
) -> Figure:
    """Certified accuracy against radius: one exact step curve per run.

        save_figure(accuracy_figure(load_runs(["runs/a", "runs/b"])), "curves")

    bands: 95 % intervals (Wilson, pointwise) around the curves, for up to four runs.
    width: in inches; text has 8 points below 5 inches, and 10 above.

    Runs that are named METHOD-seedNUMBER share one look and one line of the legend. From the
    thirteenth method on, curves are grey. Runs that decided only some radii are points there, with
    their intervals. The constant classifier is dotted. The axis names the norm of the runs. linf
    radii are in steps of 1/255. RecordError for runs of different norms or kinds.
    """
    check_any(runs)
    check_one_group([run.statement for run in runs])
    norm = runs[0].statement.norm
    unit = 255 if norm == "linf" else 1
    page = Page(width)
    figure, axes = one_plot(title, page)
    banded = bands and len(runs) <= MOST_BANDS
    for run, line in looks(runs, page, of_points=" (decided at these radii)"):
        if run.asked is not None:
            _points(axes, run, unit, line)
        else:
            _curve(axes, run, unit, line, banded=banded)
    _constant(axes, runs, unit, page)
    axes.set(xlim=(0, 1.02 * unit * max(reach_of(runs), 1e-9)), ylim=(0, 100))
    steps = " (steps of 1/255)" if norm == "linf" else ""
    said = banded and any(run.statement.sound for run in runs)
    said = said and page.size > 8  # a narrow figure has no room for it: its caption says so
    axes.set(
        xlabel=f"certified {NORMS.get(norm, runs[0].statement.measure)} radius{steps}",
        ylabel=f"certified accuracy (%){', with 95 % intervals' if said else ''}",
    )
    legend_below(axes, page)
    return figure


def _curve(axes: Any, run: Run, unit: float, line: dict[str, Any], *, banded: bool) -> None:
    """A run of all radii: its steps, and the intervals around them where its rule is sound."""
    radii = curve_radii(run.log)
    accuracy = 100 * certified_accuracy(run.log, radii)
    axes.plot(unit * radii, accuracy, drawstyle="steps-pre", **line)
    if banded and run.statement.sound:
        low, high = accuracy_interval(run.log, radii)
        band = {"step": "pre", "color": line["color"], "alpha": 0.13, "linewidth": 0}
        axes.fill_between(unit * radii, 100 * low, 100 * high, **band)


def _constant(axes: Any, runs: Sequence[Run], unit: float, page: Page) -> None:
    """What one answer to everything certifies, up to the largest radius of any run."""
    cap = max(run.largest_radius for run in runs)
    share = 100 * float(constant_classifier_accuracy(runs[0].log, 0.0, cap))
    line = {"color": INK, "linewidth": page.line(1.4), "label": "constant classifier"}
    axes.plot([0, unit * cap, unit * cap], [share, share, 0], ":", **line)


def _points(axes: Any, run: Run, unit: float, line: dict[str, Any]) -> None:
    """A run of mode radius or grid: its accuracy at the radii that it decided."""
    radii = np.array(run.asked)
    value = certified_accuracy(run.log, radii)
    low, high = accuracy_interval(run.log, radii)
    axes.errorbar(
        unit * radii,
        100 * value,
        100 * np.stack([value - low, high - value]),
        fmt=marker(line),
        color=line["color"],
        capsize=2,
        clip_on=False,
        label=line["label"],
    )


def probability_figure(
    runs: Sequence[Run],
    *,
    title: str = "",
    width: float = 7.2,
    among: Sequence[Run] | None = None,
) -> Figure:
    """How sure the base classifier is under noise: the distribution of the true class' probability.

        save_figure(probability_figure(load_runs(["runs/a", "runs/b"])), "probabilities")

    A curve shows the share of images that have at least a probability. The axis is even in the
    normal quantile, which is radius / sigma for Gaussian noise. Images right of 1/2 are won.
    width: as in ``accuracy_figure``.
    among: all runs of a report, whose colours these keep.

    RecordError for a run without vote counts.
    """
    check_any(runs)
    page = Page(width)
    figure, axes = one_plot(title, page)
    reach = 0.0
    for run, line in looks(runs, page, among=among):
        share = np.sort(label_probability(run.log))
        samples = run.log.samples
        assert samples is not None
        floor = 0.5 / float(samples.max())  # the quantile of 0 and 1 is infinite
        at = ndtri(np.clip(share, floor, 1 - floor))
        reach = max(reach, float(abs(at).max()))
        still = 100 * (1 - np.arange(len(share)) / len(share))
        axes.plot(at, still, drawstyle="steps-pre", **line)
    ticks = np.array(_TICKS[:: 2 if page.width < 5 else 1])
    axes.axvline(0, color=INK, linewidth=1, linestyle=":")
    shown = ticks[abs(ndtri(ticks)) <= 1.02 * reach]
    axes.set_xticks(ndtri(shown), [f"{tick:g}" for tick in shown])
    axes.set(
        xlim=(-1.02 * reach, 1.02 * reach),
        ylim=(0, 100),
        xlabel="probability of the true class under noise",
        ylabel="images with at least that (%)",
    )
    legend_below(axes, page)
    return figure


def attack_gap_figure(
    certified: ArrayLike, attacked: ArrayLike, *, title: str = "", norm: Norm = "l2"
) -> Figure:
    """Certified radius (N,) against the smallest size (N,) at which an attack succeeded.

        save_figure(attack_gap_figure(log.radius, broken_at), "gap")

    attacked: infinite where no attack succeeded.
    norm: of both.

    A point below the diagonal contradicts its certificate. Its height above the diagonal is the gap
    between proof and attack. ValueError for NaN, and for other shapes.
    """
    proof, broken = _radii_of_both(certified, attacked)
    page = Page()
    figure, axes = one_plot(title, page)
    right = 1.05 * max(float(proof.max(initial=0.0)), 1e-9)
    top = 1.05 * max(right, float(broken[np.isfinite(broken)].max(initial=0.0)))
    diagonal = {"color": INK, "linewidth": 1.2, "linestyle": ":"}
    axes.plot([0, right], [0, right], label="certified = attacked", **diagonal)
    _attacks(axes, proof, broken, top)
    axes.set(xlim=(0, right), ylim=(0, top))
    axes.set(
        xlabel=f"certified {NORMS[norm]} radius",
        ylabel=f"smallest successful attack, {NORMS[norm]}",
    )
    legend_below(axes, page)
    return figure


def _radii_of_both(certified: ArrayLike, attacked: ArrayLike) -> tuple[Floats, Floats]:
    proof, broken = (np.asarray(radii, dtype=np.float64) for radii in (certified, attacked))
    unknown = int(np.isnan(proof).sum() + np.isnan(broken).sum())
    if proof.shape != broken.shape or proof.ndim != 1 or unknown:
        raise ValueError(
            f"expected certified and attacked radii (N,) without NaN, got shapes {proof.shape} and "
            f"{broken.shape}, {unknown} NaN"
        )
    return proof, broken


def _attacks(axes: Any, proof: Floats, broken: Floats, top: float) -> None:
    """A point per image, by what the attacks on it say; at ``top`` where none succeeded."""
    found = np.isfinite(broken)
    false = found & (broken < proof)
    for chosen, height, colour, mark, size, name in (
        (found & ~false, broken, COLOURS[0], "o", 20, "attack found above the certified radius"),
        (~found, np.full_like(proof, top), COLOURS[2], "^", 24, "no attack found"),
        (false, broken, CONTRADICTION, "X", 60, "contradicts the certificate"),
    ):
        if chosen.any():
            look = {"alpha": 0.65, "linewidths": 0, "clip_on": False, "zorder": 3}
            label = f"{name} ({int(chosen.sum())})"
            at = proof[chosen], height[chosen]
            axes.scatter(*at, s=size, marker=mark, color=colour, label=label, **look)


def curve_radii(log: CertificationLog) -> Any:
    """The radii (M,) at which a log's certified accuracy steps, from 0 to just beyond the last."""
    steps = np.unique(log.radius[log.correct])
    end = steps[-1:] if len(steps) else np.zeros(1)
    return np.concatenate([[0.0], steps, np.nextafter(end, np.inf)])
