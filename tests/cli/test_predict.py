"""``rsmooth predict``: image files and data sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rsmooth.cli import main
from rsmooth.cli.predict import read_images
from rsmooth.models import model_card
from tests.cli.helpers import error_of


def test_predictions_of_files_and_of_the_data_set_agree(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from rsmooth.data import load_dataset

    test = load_dataset("digits").test
    assert test is not None
    images = test.images[:3].permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "three.npz", images=images)
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "one.png")
    capsys.readouterr()
    assert (
        main(
            [
                "predict",
                str(run),
                str(tmp_path / "three.npz"),
                str(tmp_path / "one.png"),
                "--n",
                "200",
            ]
        )
        == 0
    )
    rows = [line.split(",") for line in capsys.readouterr().out.strip().split("\n")]
    assert rows[0] == ["image", "prediction", "p_value"]
    assert len(rows) == 5
    assert rows[1][1:] == rows[4][1:], (
        "expected one image to have one answer, wherever it stands in the command"
    )
    assert (
        main(["predict", str(run), "--max", "2", "--n", "200", "--out", str(tmp_path / "p.csv")])
        == 0
    )
    assert (tmp_path / "p.csv").read_text().split("\n")[
        0
    ].strip() == "image,prediction,p_value,label"


def test_a_certification_that_is_only_begun_is_in_nobodys_way(run: Path, tmp_path: Path) -> None:
    """A journal without an image, as Ctrl-C leaves it, says nothing of predictions or cards."""
    begun = tmp_path / "begun"
    shutil.copytree(run, begun)
    header, _, _ = (begun / "certificates.jsonl").read_bytes().partition(b"\n")
    (begun / "certificates.jsonl").write_bytes(header + b"\n")
    assert main(["predict", str(begun), "--max", "1", "--n", "50"]) == 0
    assert main(["export", str(begun), "--out", str(tmp_path / "hub")]) == 0
    assert "certified" not in model_card(str(tmp_path / "hub"))


def test_the_array_of_images_is_found_by_its_name(tmp_path: Path) -> None:
    wanted, other = np.full((2, 8, 8), 7, np.uint8), np.zeros((2, 8, 8), np.uint8)
    for name in ("images", "x", "x_test"):
        np.savez(tmp_path / "a.npz", other=other, **{name: wanted})
        names, pixels = read_images([tmp_path / "a.npz"])
        assert names == [f"{tmp_path / 'a.npz'}[{i}]" for i in range(2)]
        assert pixels.unique().tolist() == [7]
    np.savez(tmp_path / "a.npz", first=wanted, other=other)
    assert read_images([tmp_path / "a.npz"])[1].unique().tolist() == [7]


class TestPictures:
    """What ``predict`` makes of image files."""

    def picture(self, folder: Path, mode: str) -> str:
        from PIL import Image

        image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
        path = folder / f"{mode}.png"
        image.putalpha(128) if mode == "RGBA" else None
        (image.quantize(16) if mode == "P" else image.convert(mode)).save(path)
        return str(path)

    @pytest.mark.parametrize(
        ("mode", "said"),
        [
            ("RGBA", "without transparency"),
            ("RGB", "expected a model for images"),
            ("P", "expected a model for images"),
        ],
    )  # not its palette's numbers
    def test_a_picture_of_another_kind_is_refused(
        self, run: Path, tmp_path: Path, mode: str, said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert said in error_of(capsys, "predict", str(run), self.picture(tmp_path, mode))

    def test_files_that_are_no_images(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "bad.png").write_text("nope")
        (tmp_path / "void").mkdir()
        np.savez(tmp_path / "objects.npz", images=np.array([{}], dtype=object))
        np.savez(tmp_path / "none.npz")
        (tmp_path / "void.npz").write_bytes(b"")
        whole = (tmp_path / "objects.npz").read_bytes()
        (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
        np.savez(tmp_path / "empty.npz", images=np.zeros((0, 8, 8), np.uint8))
        for name, said in (
            ("bad.png", "cannot be read"),
            ("void", "expected image files in the folder"),
            ("objects.npz", "expected an .npz file of plain arrays"),
            ("none.npz", "none.npz, which is empty"),
            ("void.npz", "it is none, or was cut short"),
            ("short.npz", "it is none, or was cut short"),
            ("empty.npz", "at least one image in images of"),
        ):
            assert said in error_of(capsys, "predict", str(run), str(tmp_path / name))
        grey = self.picture(tmp_path, "L")
        assert "got both" in error_of(capsys, "predict", str(run), grey, "--max", "3")
