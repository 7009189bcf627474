"""Runs that were asked about some radii: those are columns, and what was not asked is a dash."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest

from rsmooth.cli import main
from rsmooth.records.converting import in_norm
from rsmooth.records.files import read_log
from rsmooth.report import Run, looks, report
from rsmooth.report.formats import to_csv
from rsmooth.report.looks import save_figure
from rsmooth.report.paper import to_latex
from rsmooth.report.plots import accuracy_figure
from rsmooth.report.runs import default_radii
from rsmooth.report.tables import winners
from tests.report.by_hand import HEADER, write_run

VOTES = [990, 980, 900, 600]  # three of four images right, with radii 0.39, 0.38, 0.3


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """The same images in mode fixed, and asked about one radius or several."""
    modes = {
        "fixed": {},
        "radius": {"mode": "radius", "mode_options": {"radius": 0.25}},
        "grid": {"mode": "grid", "mode_options": {"radii": [0.0, 0.1, 0.35]}},
    }
    for name, options in modes.items():
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, VOTES, {**HEADER, **options})
    return {name: tmp_path / name for name in modes}


def row(document: str, name: str) -> list[str]:
    line = next(line for line in document.splitlines() if line.startswith(f"| {name} |"))
    return [cell.split(" ± ")[0] for cell in line.strip("| ").split(" | ")]


def test_the_radius_that_was_decided_is_a_column_and_the_rest_a_dash(runs: dict[str, Path]) -> None:
    made = report([runs["radius"]])
    assert made.table.radii == (0.25,)
    #                 name, noise, images, clean, r=0.25, ACR, abstained
    assert row(made.markdown, "radius")[3:7] == ["-", "75.0", "-", "-"]
    assert "clean 75" not in made.markdown
    assert "other radii are left out, and so is the ACR" in made.markdown
    found = next(csv.DictReader(io.StringIO(to_csv(made.table))))
    assert (found["clean"], found["certified@0.25"], found["acr"]) == ("", "0.75", "")
    assert found["abstained"] == ""


def test_a_grid_answers_for_its_radii_alone(runs: dict[str, Path]) -> None:
    made = report([runs["grid"]], radii=[0.1, 0.2, 0.35])
    assert row(made.markdown, "grid")[3:7] == ["75.0", "75.0", "-", "50.0"]
    assert "its ACR is a lower bound" in made.markdown
    assert row(made.markdown, "grid")[7].startswith("≥ ")
    intervals = made.markdown.partition("### 95 % intervals")[2]
    assert row(intervals, "grid")[-1].startswith("≥ ")
    found = next(csv.DictReader(io.StringIO(to_csv(made.table))))
    assert found["acr_is_lower_bound"] == "True"
    [line] = [line for line in to_latex(made.table).splitlines() if line.startswith("grid &")]
    assert r"$\geq$" in line
    assert r"$\geq$ where only some radii" in to_latex(made.table)


def test_no_average_is_the_highest_beside_a_lower_bound(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(runs["fixed"], tmp_path / "again")
    for second, bold in ((tmp_path / "again", True), (runs["grid"], False)):
        page = to_latex(report([runs["fixed"], second], radii=[0.1]).table, ["ACR"])
        assert (r"\textbf" in page) is bold


def test_runs_are_compared_where_both_decided(runs: dict[str, Path]) -> None:
    made = report([runs["fixed"], runs["radius"], runs["grid"]], radii=[0.1, 0.25, 0.35])
    differences = made.markdown.partition("### Paired differences")[2]
    cells = [re.sub(r" \(.*", "", cell) for cell in row(differences, "radius")]
    assert cells == ["radius", "-", "-", "+0.0", "-", "-"]
    envelope = row(made.markdown, "upper envelope")
    assert envelope[3:7] == ["75.0", "75.0", "75.0", "50.0"]
    radius = Run("radius", read_log(runs["radius"]))
    assert winners([radius], [0.0, 0.25, 0.5]) == [None, 0, None]
    mixed = default_radii([radius, Run("fixed", read_log(runs["fixed"]))])
    assert mixed == [0.1, 0.2, 0.25, 0.3]


def test_asked_radii_follow_a_conversion_of_norms(runs: dict[str, Path]) -> None:
    log = in_norm(read_log(runs["radius"]), "linf", 64)
    run = Run("radius", log)
    (asked,) = run.asked or ()
    assert asked == pytest.approx(0.25 / 8)
    assert run.decided(asked)
    assert not run.decided(0.0)


def test_decided_radii_are_points_in_a_figure(runs: dict[str, Path]) -> None:
    loaded = [Run(name, read_log(path)) for name, path in runs.items()]
    (axes,) = accuracy_figure(loaded).axes
    drawn = {bars.get_label(): bars.lines[0] for bars in axes.containers}
    assert set(drawn) == {f"{name} (decided at these radii)" for name in ("radius", "grid")}
    assert axes.get_ylabel() == "certified accuracy (%), with 95 % intervals"
    (plain,) = accuracy_figure(loaded[:1], bands=False).axes
    assert plain.get_ylabel() == "certified accuracy (%)"
    assert drawn["radius (decided at these radii)"].get_xydata().tolist() == [[0.25, 75.0]]


def test_figures_embed_true_type_fonts(
    runs: dict[str, Path],
    tmp_path: Path,
    fonts: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looks, "FONTS", fonts)
    figure = accuracy_figure([Run("fixed", read_log(runs["fixed"]))], title="Title")
    _, pdf = save_figure(figure, tmp_path / "curves")
    kinds = set(re.findall(rb"/Subtype /(Type3|CIDFontType2|TrueType)", pdf.read_bytes()))
    assert kinds == {b"CIDFontType2"}


def test_certify_says_what_was_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from rsmooth.registry import MODELS
    from rsmooth.smoothed import SmoothedClassifier

    torch.manual_seed(0)
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1)
    SmoothedClassifier(base, 0.25, 10).save(tmp_path / "model.pt")
    for out, options in (
        ("a", ["--mode", "radius", "--radius", "0.1"]),
        ("b", ["--mode", "grid", "--radii", "0.05,0.1"]),
        ("c", []),
    ):
        command = ["certify", str(tmp_path / "model.pt"), "--dataset", "digits", "--max", "3"]
        journal = tmp_path / f"{out}.jsonl"
        assert main([*command, "--n", "100", "--out", str(journal), *options]) == 0
    radius, grid, fixed = capsys.readouterr().out.splitlines()
    assert re.search(r"float32\): right and certified at l2 radius: [\d.]+ % at 0\.1; see", radius)
    assert re.search(r"radius: [\d.]+ % at 0\.05, [\d.]+ % at 0\.1; see", grid)
    assert re.search(r"accuracy [\d.]+ % at radius 0, average certified l2 radius", fixed)
