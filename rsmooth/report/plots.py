"""Figures from records, drawn without a display and without global state.

matplotlib is imported when the first one is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import (
    certified_accuracy,
    constant_classifier_accuracy,
    label_probability,
)
from rsmooth.records.statement import Norm, check_one_group
from rsmooth.records.statistics import accuracy_interval
from rsmooth.report.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of Okabe and Ito, which differ for every kind of colour vision. Line styles make the
# curves differ in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", (0, (6, 2)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5)), (0, (8, 2, 1.5, 2, 1.5, 2)))
CONTRADICTION, INK = "#D55E00", "#444444"
NORMS = {"l1": r"$\ell_1$", "l2": r"$\ell_2$", "linf": r"$\ell_\infty$"}
MOST_BANDS = 4  # above it, bands hide one another
OF_SEED = re.compile(r"(?P<method>.+)-seed\d+")


def accuracy_figure(runs: Sequence[Run], *, bands: bool = True, title: str = "") -> Figure:
    """Certified accuracy against radius: one exact step curve per run.

        save_figure(accuracy_figure(load_runs(["runs/a", "runs/b"])), "curves")

    bands: 95 % intervals (Wilson, pointwise) around the curves, for up to four runs.

    Runs that are named METHOD-seedNUMBER share one look and one line of the legend. Runs that
    decided only some radii are points there, with their intervals. The constant classifier is
    dotted. The axis names the norm of the runs. linf radii are in steps of 1/255. RecordError
    for runs of different norms or kinds.
    """
    check_one_group([run.statement for run in runs])
    norm = runs[0].statement.norm
    unit = 255 if norm == "linf" else 1
    figure, axes = _axes(title)
    reach = max(float(run.log.radius[run.log.correct].max(initial=0.0)) for run in runs)
    for run, line in _looks(runs):
        if run.asked is not None:
            _points(axes, run, unit, line["color"])
            continue
        radii = curve_radii(run.log)
        axes.plot(
            unit * radii,
            100 * certified_accuracy(run.log, radii),
            drawstyle="steps-pre",
            **line,
        )
        if bands and len(runs) <= MOST_BANDS and run.statement.sound:
            low, high = accuracy_interval(run.log, radii)
            axes.fill_between(
                unit * radii,
                100 * low,
                100 * high,
                step="pre",
                color=line["color"],
                alpha=0.13,
                linewidth=0,
            )
    cap = max(run.largest_radius for run in runs)
    constant = 100 * float(constant_classifier_accuracy(runs[0].log, 0.0, cap))
    axes.plot(
        [0, unit * cap, unit * cap],
        [constant, constant, 0],
        ":",
        color=INK,
        linewidth=1.4,
        label="constant classifier",
    )
    axes.set(xlim=(0, 1.02 * unit * max(reach, 1e-9)), ylim=(0, 100))
    steps = " (steps of 1/255)" if norm == "linf" else ""
    banded = bands and len(runs) <= MOST_BANDS and any(run.statement.sound for run in runs)
    axes.set(
        xlabel=f"certified {NORMS.get(norm, runs[0].statement.measure)} radius{steps}",
        ylabel=f"certified accuracy (%){', with 95 % intervals' if banded else ''}",
    )
    _legend(axes)
    return figure


def _points(axes: Any, run: Run, unit: float, colour: str) -> None:
    """A run of mode radius or grid: its accuracy at the radii that it decided."""
    radii = np.array(run.asked)
    value = certified_accuracy(run.log, radii)
    low, high = accuracy_interval(run.log, radii)
    axes.errorbar(
        unit * radii,
        100 * value,
        100 * np.stack([value - low, high - value]),
        fmt="o",
        color=colour,
        capsize=2,
        clip_on=False,
        label=f"{run.label} (decided at these radii)",
    )


def probability_figure(runs: Sequence[Run], *, title: str = "") -> Figure:
    """How sure the base classifier is under noise: the distribution of the true class' probability.

        save_figure(probability_figure(load_runs(["runs/a", "runs/b"])), "probabilities")

    A curve shows the share of images that have at least a probability. The axis is even in the
    normal quantile, which is radius / sigma for Gaussian noise. Images right of 1/2 are won.
    RecordError for a run without vote counts.
    """
    figure, axes = _axes(title)
    for run, line in _looks(runs):
        share = np.sort(label_probability(run.log))
        samples = run.log.samples
        assert samples is not None
        floor = 0.5 / float(samples.max())  # the quantile of 0 and 1 is infinite
        at = ndtri(np.clip(share, floor, 1 - floor))
        still = 100 * (1 - np.arange(len(share)) / len(share))
        axes.plot(at, still, drawstyle="steps-pre", **line)
    ticks = np.array([1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
    axes.axvline(0, color=INK, linewidth=1, linestyle=":")
    axes.set_xticks(ndtri(ticks), [f"{tick:g}" for tick in ticks])
    axes.set(
        ylim=(0, 100),
        xlabel="probability of the true class under noise",
        ylabel="images with at least that (%)",
    )
    _legend(axes)
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
    proof, broken = np.asarray(certified, dtype=np.float64), np.asarray(attacked, dtype=np.float64)
    if (
        proof.shape != broken.shape
        or proof.ndim != 1
        or np.isnan(proof).any()
        or np.isnan(broken).any()
    ):
        raise ValueError(
            f"expected certified and attacked radii (N,) without NaN, got shapes {proof.shape} and "
            f"{broken.shape}, {int(np.isnan(proof).sum() + np.isnan(broken).sum())} NaN"
        )
    figure, axes = _axes(title)
    found = np.isfinite(broken)
    right = 1.05 * max(float(proof.max(initial=0.0)), 1e-9)
    top = 1.05 * max(right, float(broken[found].max(initial=0.0)))
    false = found & (broken < proof)
    axes.plot(
        [0, right],
        [0, right],
        color=INK,
        linewidth=1.2,
        linestyle=":",
        label="certified = attacked",
    )
    for chosen, height, colour, mark, size, name in (
        (found & ~false, broken, COLOURS[0], "o", 20, "attack found above the certified radius"),
        (~found, np.full_like(proof, top), COLOURS[2], "^", 24, "no attack found"),
        (false, broken, CONTRADICTION, "X", 60, "contradicts the certificate"),
    ):
        if not chosen.any():
            continue
        axes.scatter(
            proof[chosen],
            height[chosen],
            s=size,
            marker=mark,
            color=colour,
            alpha=0.65,
            linewidths=0,
            clip_on=False,
            zorder=3,
            label=f"{name} ({int(chosen.sum())})",
        )
    axes.set(xlim=(0, right), ylim=(0, top))
    axes.set(
        xlabel=f"certified {NORMS[norm]} radius",
        ylabel=f"smallest successful attack, {NORMS[norm]}",
    )
    _legend(axes)
    return figure


def curve_radii(log: CertificationLog) -> Any:
    """The radii (M,) at which a log's certified accuracy steps, from 0 to just beyond the last."""
    steps = np.unique(log.radius[log.correct])
    end = steps[-1:] if len(steps) else np.zeros(1)
    return np.concatenate([[0.0], steps, np.nextafter(end, np.inf)])


def save_figure(figure: Figure, stem: str | Path) -> list[Path]:
    """Write ``stem.png`` and ``stem.pdf``, with TrueType fonts; returns their paths.

    save_figure(accuracy_figure(runs), "out/curves")
    """
    import matplotlib

    paths = [Path(f"{stem}.png"), Path(f"{stem}.pdf")]
    # As TrueType: the Type 3 fonts of the default are refused by IEEE, ACM and ScholarOne.
    with matplotlib.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42}):
        for path in paths:
            figure.savefig(path)
    return paths


def _axes(title: str) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.5), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(color="#999999", labelcolor=INK)
    axes.set_title(title, loc="left", fontsize=11.5)
    return figure, axes


def _looks(runs: Sequence[Run]) -> Iterator[tuple[Run, dict[str, Any]]]:
    """Each run with colour, line and label; the seeds of a method share them."""
    of_seed = [OF_SEED.fullmatch(run.name) for run in runs]
    names = [
        match["method"] if match else run.name for run, match in zip(runs, of_seed, strict=True)
    ]
    order = list(dict.fromkeys(names))
    for at, (run, name) in enumerate(zip(runs, names, strict=True)):
        seeds = names.count(name)
        unsound = run.label.removeprefix(run.name)
        label = run.label if seeds == 1 else f"{name} ({seeds} seeds){unsound}"
        number = order.index(name)
        yield (
            run,
            {
                "color": COLOURS[number % len(COLOURS)],
                "linestyle": STYLES[number % len(STYLES)],
                "linewidth": 1.8 if seeds == 1 else 1.0,
                "label": label if name not in names[:at] else "_nolegend_",
            },
        )


def _legend(axes: Any) -> None:
    """A legend below the axes, where it hides no data.

    The figure grows by its rows, and the axes keep their size.
    """
    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    columns = 3 if longest <= 22 else 2 if longest <= 40 else 1
    legend = axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=3.2,
    )
    rows = -(-len(legend.get_texts()) // columns)
    width, height = axes.figure.get_size_inches()
    axes.figure.set_size_inches(width, height + 0.19 * rows)
