"""Image files as 8-bit pixels: scaled where they are deeper, refused where pixels would be lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

# Modes of 8 bits or fewer per value, which Pillow converts to RGB without loss of range.
_SHALLOW = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV")
_WITH_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa", "RGBX")


def read_picture(path: Path) -> Image.Image:
    """The picture in a file, of mode L if it is grey, else RGB.

        read_picture(Path("photo.png")).size

    16-bit grey pictures are scaled: 65535 becomes 255. ValueError, with the file, for one that
    cannot be read, is transparent anywhere, or has other numbers than those of 8 or 16 bits.
    """
    try:
        with Image.open(path) as opened:
            return _eight_bit(opened, path)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"expected an image in {path}, got a file that cannot be read: {error}; save it again"
        ) from error


def _eight_bit(picture: Image.Image, path: Path) -> Image.Image:
    if picture.mode in ("L", "1") and "transparency" not in picture.info:
        return picture.convert("L")
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PNG"):
        values = np.asarray(picture)
        # One value that a chunk of the file calls transparent; Pillow's convert drops it.
        if (values == picture.info.get("transparency", -1)).any():
            raise _transparent(picture, path)
        return _scaled(values, path)
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        if np.asarray(coloured)[..., 3].min() < 255:
            raise _transparent(picture, path)
        return coloured.convert("L" if picture.mode in ("L", "1", "LA", "La") else "RGB")
    if picture.mode in _SHALLOW:
        return picture.convert("RGB")
    raise ValueError(
        f"expected an image of 8 or 16 bits, got {path} of mode {picture.mode}, whose range is not "
        "known; convert it to 8 bits"
    )


def _transparent(picture: Image.Image, path: Path) -> ValueError:
    return ValueError(
        f"expected an image without transparency, got {path} of mode {picture.mode}; put it onto a "
        "background first"
    )


def _scaled(deep: np.ndarray, path: Path) -> Image.Image:
    """16-bit values as 8-bit ones, rounded to nearest: 257 levels make one."""
    values = deep.astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise ValueError(
            f"expected an image of 16 bits, got {path} with values from {values.min()} to "
            f"{values.max()}; convert it to 8 bits"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8), "L")
