"""Image files: every mode is read without a change of range, or refused with the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsmooth.cli.predict import read_images
from rsmooth.data import load_dataset
from rsmooth.data.pictures import read_picture

RAMP = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)


def saved(folder: Path, image: Image.Image, name: str = "a.png") -> Path:
    image.save(folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, name: str) -> None:
    found = read_picture(saved(tmp_path, Image.fromarray(RAMP), name))
    assert np.array_equal(np.asarray(found), np.round(RAMP / 257))
    assert float(np.asarray(found).mean()) == pytest.approx(127.5, abs=0.01)


def test_folder_and_predict_read_the_same_pixels(tmp_path: Path) -> None:
    (tmp_path / "val" / "a").mkdir(parents=True)
    path = saved(tmp_path / "val" / "a", Image.fromarray(RAMP))
    data = load_dataset("folder", root=tmp_path, image_size=14).test
    assert data is not None
    images, _ = data.batch([0])
    assert images.shape == (1, 3, 14, 14)
    assert (images[0, 0] == images[0, 2]).all()
    assert 120 < float(images.float().mean()) < 135
    assert len(images.unique()) > 100
    _, pixels = read_images([path])
    assert np.array_equal(pixels[0, 0].numpy(), np.round(RAMP / 257))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "CMYK"])
def test_what_is_opaque_is_read_as_pillow_converts_it(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    made = image.quantize(16) if mode == "P" else image.convert(mode)
    found = read_picture(saved(tmp_path, made, "a.tiff" if mode == "CMYK" else "a.png"))
    assert found.mode == ("L" if mode in ("1", "L", "LA") else "RGB")
    assert np.array_equal(np.asarray(found.convert("RGB")), np.asarray(made.convert("RGB")))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "L", "P"])
def test_what_shows_through_is_refused(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (9, 9, 9, 128))
    if mode in ("L", "P"):
        grey = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
        made = grey if mode == "L" else grey.quantize(8)
        made.save(tmp_path / "a.png", transparency=3)
    else:
        image.convert(mode).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"expected an image without transparency, got .*a\.png"):
        read_picture(tmp_path / "a.png")


def test_a_transparent_value_of_sixteen_bits_is_refused_where_it_occurs(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png", transparency=int(RAMP[3, 3]))
    with pytest.raises(ValueError, match=r"expected an image without transparency, got .*a\.png"):
        read_picture(tmp_path / "a.png")
    Image.fromarray(RAMP).save(tmp_path / "a.png", transparency=1)
    assert np.array_equal(np.asarray(read_picture(tmp_path / "a.png")), np.round(RAMP / 257))


def test_numbers_of_no_known_range_are_refused(tmp_path: Path) -> None:
    for kind in (np.int32, np.float32):
        path = saved(tmp_path, Image.fromarray(np.full((4, 4), 7, dtype=kind)), "a.tiff")
        with pytest.raises(ValueError, match=r"8 or 16 bits, got .*a\.tiff of mode [IF]"):
            read_picture(path)


def test_a_picture_too_large_to_be_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, Image.new("L", (64, 64)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"expected an image in .*a\.png, .* cannot be read"):
        read_picture(path)
