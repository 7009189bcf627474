"""Images of a split at rest, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from rsmooth.plumbing.tensors import check_channels_first, check_images, check_tensor


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images of one split with their labels.

        test = load_dataset("digits").test
        x, y = to_unit(test.images), test.labels

    images: uint8 (N, C, H, W); float32 in [0, 1] only for images off the 8-bit grid.
    labels: int64 (N,) within 0..num_classes-1.
    index: int64 (N,), the position of each image in the published order. It stays with the image in
        every subset, is the idx of logs, and keys the noise.
    name, split: of the data set and its part, for records.
    augment: whether random crops and flips keep the labels true; None where that is not known.
    layout: "channels_first" insists on it for images that look like (N, H, W, C).

    ValueError for fields that do not fit together.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    num_classes: int
    name: str
    split: str
    augment: bool | None = None
    layout: Literal["channels_first"] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (torch.uint8, torch.float32):
            raise ValueError(
                "expected images (N, C, H, W) in uint8 (or float32 in [0, 1]), got "
                f"{self.images.dtype} {tuple(self.images.shape)}; convert arrays and data sets "
                "with rsmooth.data.as_image_data"
            )
        channels = self.images.shape[1] if self.layout == "channels_first" else None
        check_channels_first(self.images, channels)
        if self.images.is_floating_point():
            check_images(self.images, channels=channels)
        check_labels_and_index(self.labels, self.index, len(self.images), self.num_classes)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: Tensor | Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images as stored and labels at the positions (not indices) given."""
        positions = torch.as_tensor(positions, dtype=torch.int64, device=self.images.device)
        return self.images[positions], self.labels[positions]

    def subset(self, positions: Tensor | Sequence[int]) -> ImageData:
        """The images at some positions, in that order, each with its index."""
        positions = torch.as_tensor(positions, dtype=torch.int64, device=self.images.device)
        return replace(
            self,
            images=self.images[positions],
            labels=self.labels[positions],
            index=self.index[positions],
        )

    def to(self, device: str | torch.device) -> ImageData:
        """The same split with its tensors on a device."""
        return replace(
            self,
            images=self.images.to(device),
            labels=self.labels.to(device),
            index=self.index.to(device),
        )

    def fingerprint(self) -> str:
        """What names the images in records: 16 hexadecimal digits of SHA-256.

        Over shape, pixels, labels and index.
        """
        digest = hashlib.sha256(f"{self.images.dtype} {tuple(self.images.shape)}".encode())
        for tensor in (self.images, self.labels, self.index):
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return (
            f"ImageData({self.name} {self.split}: {len(self)} images "
            f"{tuple(self.images.shape[1:])}, {self.num_classes} classes)"
        )


def check_data(data: object) -> None:
    """TypeError, with the conversion, for anything but images with labels and an index.

    check_data(splits.test)
    """
    if not is_data(data):
        whole = hasattr(data, "train") and hasattr(data, "test")
        way = (
            "give one of its splits, such as data.test"
            if whole
            else "convert arrays and data sets with rsmooth.data.as_image_data(data, "
            "num_classes=10)"
        )
        raise TypeError(f"expected ImageData or FolderData, got {type(data).__name__}; {way}")


def is_data(data: object) -> bool:
    """Whether it has what ImageData and FolderData have."""
    return all(hasattr(data, name) for name in ("batch", "subset", "labels", "index"))


def check_labels_and_index(
    labels: Tensor, index: Tensor, count: int, num_classes: int | None
) -> None:
    """ValueError unless labels and index fit that many images.

    labels: int64 (count,) within 0..num_classes-1; of any number of classes if that is None.
    index: int64 (count,), distinct and >= 0.
    """
    most = 2**62 if num_classes is None else num_classes  # classes that an int64 can count
    for name, values in (("labels", labels), ("index", index)):
        check_tensor(values, name)
        if values.dtype != torch.int64 or values.shape != (count,):
            raise ValueError(
                f"expected {name} as int64 ({count},), got {values.dtype} {tuple(values.shape)}"
            )
    if count and not (int(labels.min()) >= 0 and int(labels.max()) < most):
        range_, remedy = (
            ("from 0 on", "number the classes from 0")
            if num_classes is None
            else (f"within 0..{num_classes - 1}", "check num_classes")
        )
        raise ValueError(
            f"expected labels {range_}, got {int(labels.min())}..{int(labels.max())}; {remedy}"
        )
    if count and (int(index.min()) < 0 or len(torch.unique(index)) != count):
        raise ValueError(
            "expected an index of distinct numbers >= 0, got negative or repeated ones; number "
            "the images, for the index names them in logs and keys their noise"
        )
