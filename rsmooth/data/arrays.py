"""Data sets in one .npz file, in the layout that Keras uses."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsmooth.data.convert import at_rest
from rsmooth.data.images import ImageData, check_labels_and_index
from rsmooth.data.layout import Layout, as_channels_first
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.tensors import as_labels
from rsmooth.registry import DATASETS

# What damaged bytes make numpy and zipfile raise.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
    OSError,
    MemoryError,
)


@DATASETS.register("npz")
def npz(
    path: str | os.PathLike[str],
    num_classes: int | None = None,
    augment: bool | None = None,
    validation: float = 0,
    seed: int = 0,
    layout: Layout | None = None,
) -> DataSplits:
    """An .npz file of x_train, y_train, x_test and y_test, as Keras lays them out.

        splits = load_dataset("npz", path="cifar10.npz", validation=5000)

    path: of the file. Its images are uint8, or floating-point in [0, 1] on the 8-bit grid, (N, H,
        W, C), (N, C, H, W) or (N, H, W). Its labels are integers (N,) or (N, 1). A pair that is
        absent makes that split None.
    num_classes: by default the largest label of the file + 1.
    augment: as in ``DataSplits``; by default True for colour images of 32x32, else False.
    validation: a count or fraction of the training images, chosen by seed.
    layout: "channels_first" or "channels_last"; None where only one end can hold channels.

    index is the position in the file. ValueError for another layout. Arrays of Python objects are
    refused, so that opening a file runs no code.
    """
    path = user_path(path)
    arrays = {split: _read(path, split, layout) for split in ("train", "test")}
    present = [pair for pair in arrays.values() if pair is not None]
    channels, height, width = _one_shape(path, [images for images, _ in present])
    if num_classes is None:
        num_classes = 1 + max(int(labels.max()) for _, labels in present)
    splits = {
        split: None if pair is None else _split(path, split, pair, num_classes, layout)
        for split, pair in arrays.items()
    }
    train, held_out = splits["train"], None
    if train is not None:
        train, held_out = carve_validation(train, validation, seed)
    colour = channels == 3
    return DataSplits(
        train,
        held_out,
        splits["test"],
        num_classes,
        (channels, height, width),
        augment=colour and height == width == 32 if augment is None else augment,
        normalize="cifar10" if colour else "none",
    )


def _one_shape(path: Path, images: Sequence[torch.Tensor]) -> tuple[int, int, int]:
    if not images:
        raise ValueError(
            f"expected x_train and y_train, or x_test and y_test, in {path}; got neither"
        )
    shapes = {tuple(of_split.shape[1:]) for of_split in images}
    if len(shapes) != 1:
        raise ValueError(f"expected images of one shape in {path}, got {shapes}")
    channels, height, width = shapes.pop()
    return channels, height, width


def _split(
    path: Path,
    split: str,
    pair: tuple[torch.Tensor, torch.Tensor],
    num_classes: int,
    layout: Layout | None,
) -> ImageData:
    index = torch.arange(len(pair[1]), device="cpu")
    return ImageData(
        *pair,
        index,
        num_classes,
        path.stem,
        split,
        layout="channels_first" if layout else None,
    )


def read_npz(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file by name; ``choose`` picks among the names that are there.

        read_npz(Path("images.npz"), lambda there: there[:1])

    OSError for a file that cannot be opened. ValueError for one that is no .npz file, is damaged,
    or holds Python objects under a chosen name.
    """
    with open(path, "rb") as opened:
        if opened.read(6) == b"\x93NUMPY":
            raise ValueError(
                f"expected an .npz file of named arrays, got {path}, an .npy file of one array; "
                "save images and labels in one file: np.savez(FILE, x_test=images, y_test=labels)"
            )
        try:
            if not zipfile.is_zipfile(opened):
                raise ValueError("it is none, or was cut short")
            opened.seek(0)
            with zipfile.ZipFile(opened) as file:
                there = [name.removesuffix(".npy") for name in file.namelist()]
                return {name: _member(file, name) for name in choose(there)}
        except _UNREADABLE as error:
            raise ValueError(
                f"expected an .npz file of plain arrays, got {path}, which cannot be read so: "
                f"{error}; save it again with np.savez"
            ) from error


def _member(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array, read to the end of its member, where zipfile compares the checksum.

    numpy alone reads as many bytes as the header asks for. So it takes a header with a changed
    shape at its word.
    """
    inside = name if name in file.namelist() else f"{name}.npy"
    with file.open(inside) as member:
        array = np.asarray(np.lib.format.read_array(member, allow_pickle=False))
        left = len(member.read())
    if left:
        raise ValueError(f"{left} bytes of {name} more than its header says")
    return array


def eight_bit(array: NDArray[Any], what: str, layout: str | None = None) -> torch.Tensor:
    """An array of images as uint8 (N, C, H, W).

        eight_bit(np.zeros((50, 32, 32, 3), np.uint8), "x_test of data.npz")

    array: uint8, or floating-point in [0, 1] on the 8-bit grid. layout: see ``as_channels_first``.

    ValueError, naming ``what``, for other numbers, another layout, or none at all.
    """
    if array.dtype.kind == "f":
        images = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    elif array.dtype == np.uint8:
        images = torch.from_numpy(array)
    else:
        raise _no_images(array, what, "expected uint8 images, or floating-point ones in [0, 1]")
    if not len(images):
        raise ValueError(f"expected at least one image in {what}, got none; leave it out")
    try:
        found = at_rest(as_channels_first(images, layout).contiguous())  # type: ignore[arg-type]
    except ValueError as error:
        raise _no_images(array, what, str(error)) from None
    if found.dtype != torch.uint8:
        raise _no_images(array, what, "expected levels of 1/255, got others")
    return found


def _no_images(array: NDArray[Any], what: str, why: str) -> ValueError:
    return ValueError(
        f"{why}, in {what} ({array.dtype} {array.shape}); save x in [0, 1] as "
        "np.round(255 * x).astype(np.uint8)"
    )


def _read(
    path: Path, split: str, layout: Layout | None
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Images (N, C, H, W) and labels (N,) of one split, or None if the file has neither."""
    names = (f"x_{split}", f"y_{split}")
    found = read_npz(path, lambda there: [name for name in names if name in there])
    if not found:
        return None
    if len(found) == 1:
        raise ValueError(
            f"expected x_{split} and y_{split} together in {path}, got {next(iter(found))} alone"
        )
    images = eight_bit(found[names[0]], f"{names[0]} of {path}", layout)
    try:
        labels = as_labels(found[names[1]])
        check_labels_and_index(labels, torch.arange(len(images), device="cpu"), len(images), None)
    except ValueError as error:
        raise ValueError(f"{error}, in {names[1]} of {path}") from None
    return images, labels
