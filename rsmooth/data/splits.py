"""The splits of a data set, and the validation split carved from its training images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TypeVar

from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData, is_data
from rsmooth.registry import DATASETS

Split = TypeVar("Split", ImageData, FolderData)


@dataclass(frozen=True, eq=False)
class DataSplits:
    """The splits of a data set; one that it does not have is None.

        splits = DataSplits(train, None, test, num_classes=10, image_shape=(3, 32, 32))

    image_shape: (C, H, W).
    augment: whether random crops (4 pixels of padding) and flips keep the labels true; None where
        that is not known. It is handed on to the splits. FolderData crops by itself.
    normalize: the normalisation that suits a model for these images, a name of
        ``rsmooth.models.NORMALIZATIONS``.
    class_names: of the classes in the order of the labels; None where they are not known.

    TypeError for a split that is none, such as a pair of tensors. ValueError for splits of other
    classes or of another shape of images.
    """

    train: ImageData | FolderData | None
    validation: ImageData | FolderData | None
    test: ImageData | FolderData | None
    num_classes: int
    image_shape: tuple[int, int, int]
    augment: bool | None = None
    normalize: str = "none"
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            split = getattr(self, name)
            self._check_split(name, split)
            if isinstance(split, ImageData) and split.augment is None:
                object.__setattr__(self, name, replace(split, augment=self.augment))
        if self.class_names is not None and len(self.class_names) != self.num_classes:
            raise ValueError(
                f"expected a name for each of {self.num_classes} classes, got "
                f"{len(self.class_names)}; leave class_names out"
            )

    def _check_split(self, name: str, split: object) -> None:
        """TypeError for what is no split, ValueError for one of other classes or images."""
        if split is None:
            return
        if not is_data(split):
            raise TypeError(
                f"expected {name} as ImageData, FolderData or None, got {type(split).__name__}; "
                f"make it with rsmooth.data.as_image_data({name}, num_classes, split={name!r})"
            )
        if getattr(split, "num_classes", None) != self.num_classes:
            raise ValueError(
                f"expected {name} of num_classes={self.num_classes}, got {split!r}; give both the "
                "same, as in as_image_data(..., num_classes=...)"
            )
        shape = tuple(split.images.shape[1:]) if isinstance(split, ImageData) else None
        if shape not in (None, tuple(self.image_shape)):
            raise ValueError(
                f"expected {name} of images {tuple(self.image_shape)}, as image_shape says, got "
                f"{shape}; give image_shape as (C, H, W)"
            )


def carve_validation(train: Split, validation: float, seed: int) -> tuple[Split, Split | None]:
    """Training images split into (train, validation); both keep the published order.

        train, held_out = carve_validation(as_image_data((x, y), num_classes=10), 0.1, seed=0)

    validation: a count, or a fraction below 1; 0 for none.

    Where an image goes depends on seed and its index alone, by SHA-256. So it is the same on every
    platform and in every version. ValueError if no training image is left.
    """
    asked = round(validation * len(train)) if 0 < validation < 1 else validation
    if asked not in range(max(len(train), 1)):
        raise ValueError(
            f"expected validation as a count below {len(train)} or a fraction below 1, got "
            f"{validation}"
        )
    count = int(asked)
    if count == 0:
        return train, None
    keys = [
        hashlib.sha256(f"validation {seed} {i}".encode()).digest() for i in train.index.tolist()
    ]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    carved = replace(train.subset(sorted(order[:count])), split="validation")
    return train.subset(sorted(order[count:])), carved


def load_dataset(name: str, **options: object) -> DataSplits:
    """The splits of a registered data set.

        splits = load_dataset("npz", path="cifar10.npz", validation=5000)

    options: as the data set's own function takes them. RegistryError for an unknown name, TypeError
    for a registered function that returns anything but DataSplits.
    """
    return check_splits(name, DATASETS.create(name, **options))


def check_splits(name: str, found: object) -> DataSplits:
    """What a registered function returned; TypeError, naming it, for anything but splits.

    check_splits("digits", DATASETS.create("digits"))
    """
    if isinstance(found, DataSplits):
        return found
    raise TypeError(
        f"expected the data set {name!r} to return rsmooth.data.DataSplits, got "
        f"{type(found).__name__}; let its function return DataSplits(train, validation, test, "
        "num_classes=..., image_shape=(C, H, W)), each split of them made with "
        "rsmooth.data.as_image_data, or None"
    )
