"""The data of curves are those of the metrics."""

import numpy as np
import pytest
from scipy.stats import norm

from rsmooth.records.metrics import certified_accuracy, label_probability
from rsmooth.records.statistics import accuracy_interval, compare
from rsmooth.report.page.charts import (
    MOST_PLACES,
    accuracy_chart,
    difference_chart,
    probability_chart,
)
from rsmooth.report.runs import Run
from tests.report.by_hand import HEADER, linf_log, run_of

LINF = {"norm": "linf", "kind": "deterministic", "method": "ibp", "sound": True}
ASKED = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.1, 0.2]}}


def test_values_are_those_of_the_log_at_each_place():
    run = run_of(radius=[0.1, 0.25, 0.25, 0.4])
    chart = accuracy_chart([run], start=0.25)
    radii = np.array(chart.x)
    assert {0.0, 0.1, 0.25, 0.4} <= set(chart.x)
    assert len(radii) <= MOST_PLACES + 2
    assert radii[-1] > 0.4
    curve, constant = chart.series
    assert curve["y"] == [round(100 * v, 2) for v in certified_accuracy(run.log, radii)]
    low, high = accuracy_interval(run.log, radii)
    assert curve["low"] == pytest.approx(100 * low, abs=0.005)
    assert curve["high"] == pytest.approx(100 * high, abs=0.005)
    assert (constant["y"][0], constant["y"][-1], constant["plain"]) == (50.0, 0.0, True)
    assert chart.start == 0.25


def test_only_what_was_decided_has_a_value():
    chart = accuracy_chart([run_of("a"), run_of("b", ASKED)])
    line, points, _ = chart.series
    known = [x for x, value in zip(chart.x, points["y"], strict=True) if value is not None]
    assert (known, points["points"]) == ([0.1, 0.2], True)
    assert None not in line["y"]
    assert "points" not in line


def test_linf_radii_are_in_steps_of_pixels_and_what_is_not_sound_has_no_interval():
    chart = accuracy_chart([Run("i", linf_log()), Run("x", linf_log(sound=False))], 1 / 255)
    assert chart.start == pytest.approx(1)
    assert {0.0, 1.0, 2.0} <= set(chart.x)
    assert chart.series[0]["y"][chart.x.index(2.0)] == 50.0
    assert "low" in chart.series[0]
    assert "low" not in chart.series[1]
    assert chart.series[1]["name"] == "x (not sound)"


def test_differences_are_those_of_the_table():
    runs = [
        run_of("a"),
        run_of("other", idx=[7, 8, 9, 10]),
        run_of("b", radius=[0.0, 0.3, 0.3, 0.6]),
    ]
    chart = difference_chart(runs, runs[0])
    known = compare(runs[0].log, runs[2].log, chart.x)
    (curve,) = chart.series
    assert (curve["name"], curve["k"], chart.signed) == ("b", 2, True)
    assert curve["y"] == pytest.approx(100 * known.accuracy, abs=0.005)
    half = 196 * known.accuracy_error
    assert curve["high"] == pytest.approx(100 * known.accuracy + half, abs=0.005)
    assert chart.y[1] >= max(abs(known.accuracy)) * 100 + max(half)
    assert difference_chart(runs[:2], runs[0]) is None


def test_probabilities_are_shares_of_images():
    run = run_of(counts=[[90, 10], [60, 40], [30, 70], [100, 0]], samples=[100] * 4)
    chart = probability_chart([run])
    (curve,) = chart.series
    share = label_probability(run.log)
    for place, value in zip(chart.x, curve["y"], strict=True):
        level = norm.cdf(place)
        if abs(share - level).min() > 1e-4:
            assert value == 100 * np.mean(share >= level)
    assert chart.words[120] == "0.5"
    assert (0.0, "0.5") in chart.ticks


def test_a_radius_in_whole_pixels_is_among_the_places_exactly():
    levels = np.array([1, 2, 4, 8]) / 255
    chart = accuracy_chart([run_of(provenance={"statement": LINF}, radius=levels)])
    for k, place in enumerate((1.0, 2.0, 4.0, 8.0)):
        assert chart.series[0]["y"][chart.x.index(place)] == 100 - 25.0 * k


def test_a_run_keeps_its_look_among_all_of_a_page():
    counts = {"counts": [[9, 1]] * 4, "samples": [10] * 4}
    runs = [run_of("a"), run_of("b", **counts)]
    assert [series["k"] for series in probability_chart(runs[1:], runs).series] == [1]
    assert [series["k"] for series in probability_chart(runs[1:]).series] == [0]
