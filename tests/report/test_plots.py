"""Figures show the data and nothing else."""

import numpy as np
import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.report import (
    accuracy_figure,
    attack_gap_figure,
    multiples_figure,
    probability_figure,
    save_figure,
)
from rsmooth.report.looks import COLOURS, MOST_LOOKS
from rsmooth.report.plots import curve_radii
from rsmooth.report.runs import Run
from tests.report.by_hand import HEADER, UNIFORM, linf_log, run_of


def test_curves_step_exactly_at_the_radii():
    run = run_of(radius=[0.1, 0.2, 0.2, 0.4], predict=[0, 0, 1, 0], correct=[1, 1, 1, 0])
    assert curve_radii(run.log).tolist() == [0.0, 0.1, 0.2, np.nextafter(0.2, 1)]
    figure = accuracy_figure([run])
    line = figure.axes[0].get_lines()[0]
    assert line.get_ydata().tolist() == [75.0, 75.0, 50.0, 0.0]
    assert line.get_drawstyle() == "steps-pre"


def test_every_curve_has_its_own_look_and_bands_can_be_left_out():
    runs = [run_of(f"run {k}") for k in range(12)]
    lines = accuracy_figure(runs).axes[0].get_lines()[:-1]
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}) == 12
    assert [
        len(accuracy_figure(runs[:2], bands=bands).axes[0].collections) for bands in (True, False)
    ] == [2, 0]
    labels = [text.get_text() for text in accuracy_figure(runs).axes[0].get_legend().get_texts()]
    assert labels == [*(run.name for run in runs), "constant classifier"]
    assert len(set(COLOURS)) == 7


def test_the_seeds_of_a_method_share_their_look():
    names = ["a-seed0", "a-seed1", "b-seed0", "c"]
    axes = accuracy_figure([run_of(name) for name in names]).axes[0]
    lines = axes.get_lines()[:4]
    looks = [(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines]
    assert looks[0] == looks[1]
    assert len(set(looks)) == 3
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:3] == ["a (2 seeds)", "b-seed0", "c"]


def test_points_share_looks_and_legend_as_curves_do():
    grid = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.1, 0.2]}}
    seeds = [run_of(name, grid) for name in ("a-seed0", "a-seed1", "b")]
    labels = accuracy_figure(seeds).axes[0].get_legend_handles_labels()[1]
    end = " (decided at these radii)"
    assert sorted(labels) == ["a (2 seeds)" + end, "b" + end, "constant classifier"]
    many = accuracy_figure([run_of(f"r{k}", grid) for k in range(MOST_LOOKS + 3)]).axes[0]
    assert len(many.get_legend_handles_labels()[1]) == MOST_LOOKS + 2
    assert "3 further" in many.get_legend_handles_labels()[1]


@pytest.mark.parametrize(
    ("runs", "label", "end"),
    [
        ([run_of()], r"certified $\ell_2$ radius", 0.4),
        ([run_of(provenance=UNIFORM)], r"certified $\ell_1$ radius", 0.4),
        ([Run("i", linf_log())], r"certified $\ell_\infty$ radius (steps of 1/255)", 2.0),
    ],
)
def test_the_axis_names_the_norm(runs, label, end):
    axes = accuracy_figure(runs).axes[0]
    assert axes.get_xlabel() == label
    assert axes.get_lines()[0].get_xdata().max() == pytest.approx(end)
    assert axes.get_xlim()[1] == pytest.approx(1.02 * end)


def test_curves_of_other_norms_are_not_drawn_together():
    with pytest.raises(RecordError, match="log 1 states l1 radii and log 0 l2 radii"):
        accuracy_figure([run_of(), run_of("b", UNIFORM)])


def test_what_is_not_sound_is_marked_in_the_legend():
    figure = accuracy_figure([Run("x", linf_log(sound=False))])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["x (not sound)", "constant classifier"]
    assert len(figure.axes[0].collections) == 0  # no interval around what is not shown


def test_figures_of_extreme_runs_are_drawn(tmp_path):
    nothing = run_of(predict=[-1] * 4, radius=[0.0] * 4, correct=[0] * 4)
    assert [path.name for path in save_figure(accuracy_figure([nothing]), tmp_path / "x_0.25")] == [
        "x_0.25.png",
        "x_0.25.pdf",
    ]
    sure = run_of(counts=[[9, 0], [0, 9], [0, 9], [9, 0]], samples=[9] * 4)
    save_figure(probability_figure([sure], title="p"), tmp_path / "p")
    with pytest.raises(RecordError, match="vote counts"):
        probability_figure([nothing])


def test_attack_gap_counts_contradictions(tmp_path):
    figure = attack_gap_figure([0.5, 0.5, 0.2], [0.4, 0.9, np.inf])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [
        "certified = attacked",
        "attack found above the certified radius (1)",
        "no attack found (1)",
        "contradicts the certificate (1)",
    ]
    save_figure(figure, tmp_path / "gap")
    other = attack_gap_figure([0.5], [0.9], norm="linf").axes[0]
    assert other.get_xlabel() == r"certified $\ell_\infty$ radius"
    assert other.get_ylabel() == r"smallest successful attack, $\ell_\infty$"
    for bad in ([0.5], [0.5, float("nan"), 0.2]):
        with pytest.raises(ValueError, match="without NaN"):
            attack_gap_figure(bad, [0.4, 0.9, np.inf])


@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("draw", [accuracy_figure, probability_figure])
def test_the_legend_hides_no_data(draw, count):
    sure = [
        run_of(f"a run called {k}", counts=[[9, 0], [0, 9], [0, 9], [9, 0]], samples=[9] * 4)
        for k in range(count)
    ]
    figure = draw(sure)
    figure.canvas.draw()
    axes = figure.axes[0]
    legend = axes.get_legend().get_window_extent()
    assert legend.y1 < axes.xaxis.label.get_window_extent().y0  # below the name of the axis
    assert legend.y0 >= 0  # and not cut off
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1


@pytest.mark.parametrize("draw", [accuracy_figure, probability_figure, multiples_figure])
def test_no_runs_are_no_figure(draw):
    with pytest.raises(ValueError, match="expected at least one run, got none"):
        draw([])


GRID = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.1, 0.25, 1.0]}}


@pytest.mark.parametrize("draw", [accuracy_figure, multiples_figure])
def test_radii_that_were_asked_for_are_shown_though_nothing_is_certified_there(draw):
    """With 500 images and no hit, an end of the interval was once above the value."""
    many = 125
    run = run_of(
        "grid", GRID, idx=range(4 * many), label=[0, 1, 1, 1] * many, predict=[0, 1, 1, 1] * many,
        radius=[0.1, 0.1, 0.25, 0.0] * many, correct=[1] * 4 * many, time=[1] * 4 * many,
    )  # fmt: skip
    figure = draw([run])
    figure.draw_without_rendering()  # a layout that collapses is a warning, and so an error
    assert figure.axes[0].get_xlim()[1] >= 1.0


def test_a_name_that_begins_with_an_underscore_is_in_the_legend():
    (axes,) = accuracy_figure([run_of("_old"), run_of("new")]).axes
    names = [text.get_text().strip() for text in axes.get_legend().get_texts()]
    assert {"_old", "new"} <= set(names)
