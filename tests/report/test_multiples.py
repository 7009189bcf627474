"""A panel per method, and differences to a baseline."""

import numpy as np
import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.statistics import compare
from rsmooth.report import report
from rsmooth.report.multiples import (
    MOST_PANELS,
    comparable,
    differences_figure,
    multiples_figure,
    paired_curve,
)
from rsmooth.report.runs import Run
from tests.report.by_hand import HEADER, UNIFORM, linf_log, run_of, write_run


def panels(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_each_method_has_a_panel_with_all_its_seeds():
    runs = [run_of(name) for name in ("a-seed0", "a-seed1", "b", "c")]
    shown = panels(multiples_figure(runs))
    assert [axes.get_title(loc="left") for axes in shown] == ["a", "b", "c"]
    thick = [[line for line in axes.get_lines() if line.get_zorder() == 3] for axes in shown]
    assert [len(lines) for lines in thick] == [2, 1, 1]
    assert all(len(axes.get_lines()) == 5 for axes in shown)  # all, and the baseline once more
    assert len(panels(multiples_figure([run_of(f"r{k}") for k in range(30)]))) == MOST_PANELS


def test_the_lowest_panel_of_each_column_has_numbers_at_its_radii():
    shown = panels(multiples_figure([run_of(f"r{k}") for k in range(10)]))
    numbers = [axes.xaxis.get_tick_params()["labelbottom"] for axes in shown]
    assert numbers == [False] * 6 + [True] * 4


@pytest.mark.parametrize("width", [3.25, 7.2])
def test_panels_tell_runs_apart_and_mark_what_is_not_sound(width):
    names = [f"published_logs/{name}_cifar10_500_sigma_0.25" for name in ("cohen", "salman")]
    runs = [Run(name, linf_log()) for name in names]
    claimed = Run("a-published-cascade-of-six", linf_log(sound=False))
    shown = panels(multiples_figure([*runs, claimed], width=width))
    first, second, last = (axes.get_title(loc="left") for axes in shown)
    assert "coh" in first
    assert "sal" in second
    assert last.endswith("-of-six\n(not sound)")


def test_runs_of_other_norms_have_no_common_panels():
    with pytest.raises(RecordError, match="log 1 states l1 radii"):
        multiples_figure([run_of(), run_of("b", UNIFORM)])


def test_differences_are_those_of_the_table():
    first, second = run_of("a"), run_of("b", radius=[0.0, 0.25, 0.3, 0.6])
    radii, mean, error = paired_curve(first, second)
    known = compare(first.log, second.log, radii)
    np.testing.assert_allclose(mean, known.accuracy, atol=1e-15)
    np.testing.assert_allclose(error, known.accuracy_error, atol=1e-15)
    figure = differences_figure([first, second], first)
    line = figure.axes[0].get_lines()[1]
    np.testing.assert_array_equal(line.get_ydata(), 100 * mean)


def test_runs_of_mode_radius_are_points_where_both_decided():
    asked = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.1, 0.2]}}
    figure = differences_figure([run_of("a"), run_of("b", asked)], run_of("a"))
    assert figure.axes[0].containers
    assert paired_curve(run_of("a"), run_of("b", asked))[0].tolist() == [0.1, 0.2]


def test_points_differ_in_colour_or_mark_and_those_without_a_common_radius_are_left_out():
    asked = [
        {**HEADER, "mode": "grid", "mode_options": {"radii": [radius]}} for radius in (0.1, 0.2)
    ]
    first, *runs = [run_of(f"r{k}", asked[0]) for k in range(12)]
    apart = run_of("apart", asked[1])
    assert comparable([first, apart], first) == []
    axes = differences_figure([first, *runs, apart], first).axes[0]
    seen = [points.lines[0] for points in axes.containers]
    looks = [(line.get_color(), line.get_marker()) for line in seen]
    assert len(set(looks)) == len(runs) == 11


def test_only_sound_runs_on_the_same_images_are_compared():
    first = run_of("a")
    runs = [first, run_of("b", idx=[0, 1, 2, 9]), run_of("c", UNIFORM), run_of("d")]
    assert [run.name for run in comparable(runs, first)] == ["d"]
    claimed = Run("x", linf_log(sound=False))
    assert comparable([claimed, Run("y", linf_log())], claimed) == []
    with pytest.raises(RecordError, match="sound runs on the images of a"):
        differences_figure([first], first)


def test_a_report_takes_any_run_as_its_baseline(tmp_path):
    paths = [
        write_run(tmp_path / name, [1000, 900, 500, hits])
        for name, hits in {"a": 700, "b": 800, "c": 900}.items()
    ]
    made = report(paths, tmp_path / "out", baseline="b")
    assert "### Paired differences to b\n" in made.markdown
    text = (tmp_path / "out" / "report.md").read_text()
    assert "![Certified accuracy less that of b](differences.png)" in text
    assert "![Certified accuracy, a panel per method](multiples.png)" in text
    with pytest.raises(ValueError, match="expected the baseline among a, b, c, got 'd'"):
        report(paths, baseline="d")
