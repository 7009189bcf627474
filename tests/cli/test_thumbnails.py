"""The images beside the rows are those that were certified."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsmooth.cli import main
from rsmooth.cli.thumbnails import thumbnails
from rsmooth.config.images import choose_images
from rsmooth.report import load_runs
from tests.cli.helpers import error_of


def test_a_page_shows_the_images_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "r.html"
    assert main(["report", str(run), "--html", str(page), "--images", "run"]) == 0
    assert f"wrote {page}" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r'<img data-image="\d+"', text)) == 5
    assert text.count("data:image/png;base64") == 5


def test_pictures_are_those_of_the_data_set(run: Path) -> None:
    runs = load_runs([run])
    pictures, classes = thumbnails("digits", runs, [run])
    data = choose_images(
        "digits", None, split="test", skip=1, limit=None, only=runs[0].log.idx.tolist()
    )
    assert classes is None
    for at, idx in enumerate(data.index.tolist()):
        np.testing.assert_array_equal(pictures[idx], data.batch([at])[0][0, 0].numpy())


def test_other_images_are_refused(run: Path) -> None:
    (made,) = load_runs([run])
    for change, word in (
        ({"provenance": {"dataset": {"fingerprint": "0" * 16}}}, "fingerprint"),
        (
            {
                "label": (made.log.label + 1) % 10,
                "correct": made.log.predict == (made.log.label + 1) % 10,
            },
            "labels",
        ),
    ):
        other = replace(made, log=replace(made.log, **change))
        with pytest.raises(ValueError, match=f"got others from digits \\({word} of the test split"):
            thumbnails("digits", [other], [run])


def test_classes_are_named_after_their_folders(tmp_path: Path) -> None:
    for name in ("<b>cat", "dog"):
        folder = tmp_path / "val" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8), (9, 9, 9)).save(folder / "a.png")
    table = tmp_path / "log.tsv"
    table.write_text("idx\tlabel\tpredict\tradius\tcorrect\n0\t0\t0\t0.5\t1\n1\t1\t0\t0.5\t0\n")
    spec = {"name": "folder", "root": str(tmp_path), "image_size": 8}
    pictures, classes = thumbnails(spec, load_runs([table]), [table])
    assert classes == ["<b>cat", "dog"]
    assert pictures[1].shape == (8, 8, 3)


def test_images_need_a_page(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_of(capsys, "report", str(run), "--images", "digits")
    assert "expected --html beside --images" in line
