"""Which figures are drawn for which runs."""

from pathlib import Path

import pytest
from PIL import Image

from rsmooth.report.figures import save_figures
from tests.report.by_hand import run_of

VOTES = {"counts": [[9, 0], [0, 9], [0, 9], [9, 0]], "samples": [9] * 4}


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        ([run_of("a")], ["curves"]),
        ([run_of("a", **VOTES)], ["curves", "probabilities"]),
        ([run_of("a"), run_of("b")], ["curves", "differences"]),
        ([run_of("a"), run_of("b", idx=[0, 1, 2, 9])], ["curves"]),
        ([run_of("a-seed0"), run_of("a-seed1"), run_of("b")], ["curves", "differences"]),
        ([run_of(name) for name in "abc"], ["curves", "differences", "multiples"]),
    ],
)
def test_each_figure_has_its_runs(runs, names, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        "rsmooth.report.figures.save_figure", lambda figure, stem: saved.append(stem) or [stem]
    )
    files, links = save_figures(runs, runs[0], tmp_path, "-x")
    assert files == saved == [tmp_path / f"{name}-x" for name in names]
    assert [link.split("](")[1] for link in links] == [f"{name}-x.png)\n" for name in names]


def test_a_figure_for_a_paper_has_its_width_and_no_title(tmp_path: Path):
    for width, inches in ((None, 7.2), (3.25, 3.25)):
        (png, _), _ = save_figures([run_of()], None, tmp_path, title="T", width=width)
        with Image.open(png) as picture:
            assert picture.size[0] == round(200 * inches)


def test_a_method_looks_alike_in_all_figures_of_a_report(tmp_path, monkeypatch):
    """Those of some runs too: of those with votes, and of those beside the baseline."""
    drawn = {}
    monkeypatch.setattr(
        "rsmooth.report.figures.save_figure",
        lambda figure, stem: drawn.update({stem.name: figure}) or [stem],
    )
    runs = [run_of("a"), run_of("b", **VOTES), run_of("c", **VOTES)]
    save_figures(runs, runs[0], tmp_path)
    colours = {
        name: {line.get_label(): line.get_color() for line in figure.axes[0].get_lines()}
        for name, figure in drawn.items()
    }
    for name in ("probabilities", "differences"):
        assert [colours[name][run] for run in "bc"] == [colours["curves"][run] for run in "bc"]
