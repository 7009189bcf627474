"""Figures fit their column, with text that can be read there."""

import numpy as np
import pytest
from matplotlib.text import Text

from rsmooth.report import accuracy_figure, probability_figure, save_figure
from rsmooth.report.looks import FAINT, MOST_LOOKS, Page, looks, one_plot, shorten, shorten_apart
from rsmooth.report.multiples import differences_figure, multiples_figure
from tests.full_disk import small_files_only
from tests.report.by_hand import HEADER, run_of

VOTES = {"counts": [[9, 0], [0, 9], [0, 9], [9, 0]], "samples": [9] * 4}


def runs_of(count):
    return [run_of(f"a method with a longer name {k}", **VOTES) for k in range(count)]


def at_radii(count):
    grid = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.1, 0.2]}}
    return [run_of(f"a method with a longer name {k}", grid) for k in range(count)]


FIGURES = {
    "curves": accuracy_figure,
    "points": lambda runs, **look: accuracy_figure(at_radii(len(runs)), **look),
    "probabilities": probability_figure,
    "multiples": multiples_figure,
    "differences": lambda runs, **look: differences_figure(runs, runs[0], **look),
}


@pytest.mark.parametrize(
    ("name", "count"), [(name, 3) for name in FIGURES] + [("curves", 14), ("multiples", 9)]
)
def test_at_the_width_of_a_column_text_is_legible_and_nothing_is_cut_off(name, count, tmp_path):
    figure = FIGURES[name](runs_of(count), width=3.25)
    figure.canvas.draw()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    assert min(text.get_fontsize() for text in shown) >= 7
    for axes in figure.axes:
        legend = axes.get_legend()
        words = (axes._left_title, axes.xaxis.label, axes.yaxis.label)
        boxes = [text for text in words if text.get_text() and axes.get_visible()]
        for box in [*boxes, *([] if legend is None else [legend])]:
            extent = box.get_window_extent()
            assert extent.x0 >= -1
            assert extent.y0 >= -1
            assert extent.x1 <= figure.bbox.x1 + 1
            assert extent.y1 <= figure.bbox.y1 + 1
    _, pdf = save_figure(figure, tmp_path / "x")
    assert b"/MediaBox [ 0 0 234 " in pdf.read_bytes()  # 3.25 inches


def test_many_methods_do_not_fill_the_legend():
    lines = [line for _, line in looks(runs_of(MOST_LOOKS + 18))]
    labels = [line["label"] for line in lines if line["label"] != "_nolegend_"]
    assert len(labels) == MOST_LOOKS + 1
    assert labels[-1] == "18 further"
    assert {line["color"] for line in lines[MOST_LOOKS:]} == {FAINT}
    assert FAINT not in {line["color"] for line in lines[:MOST_LOOKS]}


def test_long_names_are_shortened_in_the_middle():
    assert shorten("smoothadv-seed0", 15) == "smoothadv-seed0"
    assert shorten("smoothadv-seed0", 11) == "smoo...eed0"
    assert np.all([len(shorten("x" * 50, n)) == n for n in range(5, 50)])


def test_shortened_names_still_differ():
    names = ["logs/cohen_500_sigma_0.25", "logs/salman_500_sigma_0.25", "ours"]
    assert shorten_apart(names, 13) == ["cohen..._0.25", "salma..._0.25", "ours"]
    assert shorten_apart(["a" * 20 + "b" + "c" * 20, "a" * 20 + "d" + "c" * 20], 9) == [
        "bcc...ccc",
        "dcc...ccc",
    ]
    alike = ["x" * 30, "x" * 31, "x" * 30]
    assert shorten_apart(alike, 9) == ["x", "xx", "x"]
    labels = [line["label"] for _, line in looks([run_of(n * 3) for n in names], Page(2.0))]
    assert len(set(labels)) == 3


def test_the_name_of_the_baseline_fits_too():
    runs = [run_of("a method with a name that is longer than the figure is wide"), run_of("b")]
    figure = differences_figure(runs, runs[0], width=2.0)
    figure.canvas.draw()
    assert figure.axes[0].get_legend().get_window_extent().x0 >= -1


@pytest.mark.parametrize("width", [0, 1.9, 21, float("nan")])
def test_what_is_no_width_is_refused(width):
    with pytest.raises(ValueError, match="expected a width of 2 to 20 inches"):
        Page(width)


@pytest.mark.parametrize("width", [3.25, 7.2])
def test_a_long_title_stays_within_the_figure(width: float) -> None:
    title = "Ten methods on one core, for the same processor time each, " * 3
    figure, _ = one_plot(title, Page(width))
    figure.canvas.draw()
    [shown] = [text for text in figure.findobj(Text) if text.get_text().startswith("Ten")]
    box = shown.get_window_extent()
    assert " ".join(shown.get_text().split()) == title.strip()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1


def test_a_figure_that_does_not_fit_leaves_the_old_one(tmp_path):
    (tmp_path / "x.png").write_bytes(b"old")
    with small_files_only(), pytest.raises(OSError, match=r"as it was before: .*x\.png"):
        save_figure(accuracy_figure(runs_of(2)), tmp_path / "x")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
