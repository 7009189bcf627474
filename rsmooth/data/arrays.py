"""Data sets in one .npz file, in the layout that Keras uses."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsmooth.data.convert import as_labels, channels_first
from rsmooth.data.images import ImageData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.registry import DATASETS

# What damaged bytes make numpy and zipfile raise.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError)


@DATASETS.register("npz")
def npz(
    path: str | os.PathLike[str],
    num_classes: int | None = None,
    augment: bool | None = None,
    validation: float = 0,
    seed: int = 0,
) -> DataSplits:
    """An .npz file of x_train, y_train, x_test and y_test, as Keras lays them out.

        splits = load_dataset("npz", path="cifar10.npz", validation=5000)

    path: of the file. Its images are uint8 (N, H, W, C) or (N, H, W), its labels integers (N,) or
        (N, 1). A pair that is absent makes that split None.
    num_classes: by default the largest label of the file + 1.
    augment: as in ``DataSplits``; by default True for colour images of 32x32, else False.
    validation: a count or fraction of the training images, chosen by seed.

    index is the position in the file. ValueError for another layout. Arrays of Python objects are
    refused, so that opening a file runs no code.
    """
    path = Path(path)
    arrays = {split: _read(path, split) for split in ("train", "test")}
    present = [pair for pair in arrays.values() if pair is not None]
    if not present:
        raise ValueError(
            f"expected x_train and y_train, or x_test and y_test, in {path}; got neither"
        )
    shapes = {tuple(images.shape[1:]) for images, _ in present}
    if len(shapes) != 1:
        raise ValueError(f"expected images of one shape in {path}, got {shapes}")
    channels, height, width = shapes.pop()
    classes = (
        num_classes
        if num_classes is not None
        else 1 + max(int(labels.max()) for _, labels in present)
    )
    splits = {
        split: None
        if pair is None
        else ImageData(*pair, torch.arange(len(pair[1])), classes, path.stem, split)
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
        classes,
        (channels, height, width),
        augment=colour and height == width == 32 if augment is None else augment,
        normalize="cifar10" if colour else "none",
    )


def read_npz(path: Path, choose: Callable[[list[str]], Sequence[str]]) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file by name; ``choose`` picks among the names that are there.

        read_npz(Path("images.npz"), lambda there: there[:1])

    OSError for a file that cannot be opened. ValueError for one that is no .npz file, is damaged,
    or holds Python objects under a chosen name.
    """
    with open(path, "rb") as opened:
        try:
            if not zipfile.is_zipfile(opened):
                raise ValueError("it is none, or was cut short")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                return {name: np.asarray(file[name]) for name in choose(file.files)}
        except _UNREADABLE as error:
            raise ValueError(
                f"expected an .npz file of plain arrays, got {path}, which cannot be read so: "
                f"{error}; save it again with np.savez"
            ) from error


def _read(path: Path, split: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Images (N, C, H, W) and labels (N,) of one split, or None if the file has neither."""
    names = (f"x_{split}", f"y_{split}")
    found = read_npz(path, lambda there: [name for name in names if name in there])
    if not found:
        return None
    if len(found) == 1:
        raise ValueError(
            f"expected x_{split} and y_{split} together in {path}, got {next(iter(found))} alone"
        )
    images, labels = found[f"x_{split}"], as_labels(found[f"y_{split}"])
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise ValueError(
            f"expected x_{split} as uint8 (N, H, W, C) or (N, H, W), got {images.dtype} "
            f"{images.shape} in {path}"
        )
    if not len(images):
        raise ValueError(
            f"expected at least one image in x_{split} of {path}, got none; leave the pair out"
        )
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        raise ValueError(
            f"expected x_{split} with channels last, got {images.shape} in {path}; transpose it "
            "with .transpose(0, 2, 3, 1)"
        )
    return channels_first(torch.from_numpy(images)), labels
