"""The splits of a data set, and the validation split carved from its training images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TypeVar

from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.registry import DATASETS

Split = TypeVar("Split", ImageData, FolderData)


@dataclass(frozen=True, eq=False)
class DataSplits:
    """The splits of a data set; one that it does not have is None.

    image_shape: (C, H, W). augment: whether the trainer should crop (4 pixels of padding) and flip
    at random, handed on to the splits; False where that changes the label, None where nobody knows.
    FolderData crops by itself. normalize: the normalisation that suits a model for this data set,
    for ``MODELS.create(..., normalize=)``.
    """

    train: ImageData | FolderData | None
    validation: ImageData | FolderData | None
    test: ImageData | FolderData | None
    num_classes: int
    image_shape: tuple[int, int, int]
    augment: bool | None = None
    normalize: str = "none"

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            split = getattr(self, name)
            if isinstance(split, ImageData) and split.augment is None:
                object.__setattr__(self, name, replace(split, augment=self.augment))


def carve_validation(train: Split, validation: float, seed: int) -> tuple[Split, Split | None]:
    """Training images split into (train, validation); both keep the published order.

    validation: a count, or a fraction below 1; 0 for none. An image's place depends on seed and its
    index alone, by SHA-256, so it is the same on every platform and in every version. ValueError if
    no training image is left.
    """
    count = round(validation * len(train)) if 0 < validation < 1 else int(validation)
    if not 0 <= count < max(len(train), 1) or (validation >= 1 and count != validation):
        raise ValueError(
            f"expected validation as a count below {len(train)} or a fraction below 1, got "
            f"{validation}"
        )
    if count == 0:
        return train, None
    keys = [
        hashlib.sha256(f"validation {seed} {i}".encode()).digest() for i in train.index.tolist()
    ]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    carved = replace(train.subset(sorted(order[:count])), split="validation")
    return train.subset(sorted(order[count:])), carved


def load_dataset(name: str, **options: object) -> DataSplits:
    """The splits of a registered data set; options as its function in this package takes them."""
    splits: DataSplits = DATASETS.create(name, **options)
    return splits
