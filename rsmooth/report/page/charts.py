"""Curves as data for the script of a page: values at common places along the axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from rsmooth.records.log import FloatArray
from rsmooth.records.metrics import (
    certified_accuracy,
    constant_classifier_accuracy,
    label_probability,
)
from rsmooth.records.pairs import changes, difference
from rsmooth.records.statistics import accuracy_interval
from rsmooth.report.multiples import comparable
from rsmooth.report.runs import Run, reach_of

MOST_PLACES = 500
_LEVELS = (1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


@dataclass(frozen=True)
class Chart:
    """One pair of axes.

        accuracy_chart(runs).data()

    x: places along the axis. words: what each is called; numbers by default.
    ticks: place and word of each; None leaves them to the page.
    series: with name, y (None where it has no value), low and high, points (values without a line),
        plain (a reference, dotted) and k (the number of its look, by default its place).
    step: whether a value holds from the place before up to its own.
    """

    title: str
    xlabel: str
    ylabel: str
    x: list[float]
    y: tuple[float, float]
    series: list[dict[str, Any]]
    words: list[str] | None = None
    ticks: list[tuple[float, str]] | None = None
    start: float = 0.0
    signed: bool = False

    def data(self) -> dict[str, Any]:
        """Plain values, for ``as_json``."""
        return dict(vars(self))


def accuracy_chart(runs: Sequence[Run], start: float = 0.0, most: int = MOST_PLACES) -> Chart:
    """Certified accuracy (%) against radius, with 95 % intervals.

        accuracy_chart(load_runs(["runs/a", "runs/b"]), start=0.25)

    start: the radius whose values are shown at first.

    The values are exact at up to ``most`` radii, and at those that a run was asked for. Between two
    of them the page shows the value of the larger one, so never too much.
    """
    unit = 255 if runs[0].statement.norm == "linf" else 1
    radii = _places(runs, most)
    series = []
    for run in runs:
        known = np.array([run.asked is None or run.decided(r) for r in radii])
        low, high = accuracy_interval(run.log, radii)
        value = certified_accuracy(run.log, radii)
        made: dict[str, Any] = {"name": run.label, "y": _percent(value, known)}
        if run.statement.sound:
            made |= {"low": _percent(low, known), "high": _percent(high, known)}
        series.append(made | ({"points": True} if run.asked is not None else {}))
    cap = max(run.largest_radius for run in runs)
    share = constant_classifier_accuracy(runs[0].log, radii, cap)
    series.append({"name": "constant classifier", "y": _percent(share), "plain": True})
    steps = " (steps of 1/255)" if unit == 255 else ""
    return Chart(
        "Certified accuracy",
        f"certified {runs[0].statement.measure} radius{steps}",
        "certified accuracy (%)",
        [round(unit * float(radius), 9) for radius in radii],
        (0, 100),
        series,
        start=unit * start,
    )


def difference_chart(runs: Sequence[Run], baseline: Run, start: float = 0.0) -> Chart | None:
    """Certified accuracy less the baseline's, in points, with 1.96 paired standard errors around.

        difference_chart(runs, runs[0])

    None where no run can be paired with the baseline.
    """
    others = comparable(runs, baseline)
    if not others:
        return None
    unit = 255 if baseline.statement.norm == "linf" else 1
    radii = _places([baseline, *others])
    series, reach = [], 1.0
    for number, run in enumerate(runs):
        if any(run is each for each in others):
            # The look is that of the run in the chart of accuracies.
            made, far = _differences(run, baseline, radii, number)
            series.append(made)
            reach = max(reach, far)
    steps = " (steps of 1/255)" if unit == 255 else ""
    bound = math.ceil(1.05 * reach)
    return Chart(
        f"Difference to {baseline.name}",
        f"certified {baseline.statement.measure} radius{steps}",
        "points of certified accuracy",
        [round(unit * float(radius), 9) for radius in radii],
        (-bound, bound),
        series,
        start=unit * start,
        signed=True,
    )


def _differences(
    run: Run, baseline: Run, radii: FloatArray, look: int
) -> tuple[dict[str, Any], float]:
    """One series of a chart of differences, and how far from 0 it reaches, in points."""
    known = np.array([run.decided(r) and baseline.decided(r) for r in radii])
    mean, error = difference(*changes(baseline.log, run.log, radii), len(run.log))
    low, high = mean - 1.96 * error, mean + 1.96 * error
    reach = 100 * float((np.abs(mean) + 1.96 * error)[known].max(initial=0.0))
    made: dict[str, Any] = {"name": run.label, "k": look, "y": _percent(mean, known)}
    made |= {"low": _percent(low, known), "high": _percent(high, known)}
    apart = run.asked is not None or baseline.asked is not None
    return made | ({"points": True} if apart else {}), reach


def probability_chart(runs: Sequence[Run], among: Sequence[Run] | None = None) -> Chart:
    """Which share of the images has at least a probability of the true class under noise.

        probability_chart(runs)

    among: all runs of a page, whose looks these keep.

    RecordError for a run without vote counts.
    """
    samples = max(int(run.log.samples.max()) for run in runs if run.log.samples is not None)
    reach = float(ndtri(1 - 0.5 / samples))
    places = np.linspace(-reach, reach, 241)
    levels = ndtr(places)
    series = []
    for run in runs:
        share = np.sort(label_probability(run.log))
        least = 1 - np.searchsorted(share, levels, side="left") / len(share)
        look = next(k for k, each in enumerate(among or runs) if each is run)
        series.append({"name": run.label, "k": look, "y": _percent(least)})
    ticks = [(round(float(ndtri(p)), 4), f"{p:g}") for p in _LEVELS if abs(ndtri(p)) <= reach]
    return Chart(
        "Probability of the true class under noise",
        "probability of the true class under noise",
        "images with at least that (%)",
        [round(float(place), 4) for place in places],
        (0, 100),
        series,
        words=[f"{level:.4g}" for level in levels],
        ticks=ticks,
        start=0.0,
    )


def _places(runs: Sequence[Run], most: int = MOST_PLACES) -> FloatArray:
    """Radii in round steps up to the largest one of a right answer, and those asked for."""
    reach = reach_of(runs)
    asked = {radius for run in runs for radius in run.asked or ()}
    asked |= {float(radius) for run in runs for radius in run.setting("epsilons") or []}
    # In whole units first: 2/255 itself has to be among the places, and no rounding of it.
    unit = 255 if runs[0].statement.norm == "linf" else 1
    step = _round_step(max(unit * reach, 1.0 if unit == 255 else 1e-3) / most)
    count = math.ceil(unit * reach / step) + 1
    grid = [round(step * k, 12) / unit for k in range(count + 1)]
    return np.array(sorted({0.0, *grid, *asked}))


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is at least that."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= least * (1 - 1e-12))


def _percent(values: FloatArray, known: FloatArray | None = None) -> list[float | None]:
    """In percent with two digits; None where nothing is known."""
    there: Iterable[Any] = np.ones(len(values), dtype=bool) if known is None else known
    return [
        round(100 * float(value), 2) if each else None
        for value, each in zip(values, there, strict=True)
    ]
