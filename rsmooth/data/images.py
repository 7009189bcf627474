"""Images of a split at rest, and the splits of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images of one split with their labels.

    images: uint8 (N, C, H, W); float32 in [0, 1] only for images off the 8-bit grid. labels: int64 (N,) within
    0..num_classes-1. index: int64 (N,), each image's position in the published order; it stays with the image in
    every subset, stands in logs as idx, and keys the noise. ValueError for fields that do not fit together.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    num_classes: int
    name: str
    split: str

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (torch.uint8, torch.float32):
            raise ValueError(f"expected images (N, C, H, W) in uint8 (or float32 in [0, 1]), got {self.images.dtype} "
                             f"{tuple(self.images.shape)}; rsmooth.data.as_image_data converts arrays and data sets")
        for field in ("labels", "index"):
            values: Tensor = getattr(self, field)
            if values.dtype != torch.int64 or values.shape != self.images.shape[:1]:
                raise ValueError(f"expected {field} as int64 ({len(self.images)},), got {values.dtype} "
                                 f"{tuple(values.shape)}")
        check_label_range(self.labels, self.num_classes)
        if len(self.index) and (int(self.index.min()) < 0 or len(torch.unique(self.index)) != len(self.index)):
            raise ValueError("expected an index of distinct numbers >= 0, got negative or repeated ones; "
                             "it names each image in logs and keys its noise")

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: Tensor | Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images as stored and labels at the positions (not indices) given."""
        positions = torch.as_tensor(positions, dtype=torch.int64, device=self.images.device)
        return self.images[positions], self.labels[positions]

    def subset(self, positions: Tensor | Sequence[int]) -> ImageData:
        """The images at some positions, in that order, each with its index."""
        positions = torch.as_tensor(positions, dtype=torch.int64, device=self.images.device)
        return ImageData(self.images[positions], self.labels[positions], self.index[positions], self.num_classes,
                         self.name, self.split)

    def to(self, device: str | torch.device) -> ImageData:
        """The same split with its tensors on a device."""
        return ImageData(self.images.to(device), self.labels.to(device), self.index.to(device), self.num_classes,
                         self.name, self.split)

    def fingerprint(self) -> str:
        """16 hexadecimal digits of SHA-256 over shape, pixels, labels and index: names the data in records."""
        digest = hashlib.sha256(f"{self.images.dtype} {tuple(self.images.shape)}".encode())
        for tensor in (self.images, self.labels, self.index):
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return (f"ImageData({self.name} {self.split}: {len(self)} images {tuple(self.images.shape[1:])}, "
                f"{self.num_classes} classes)")


@dataclass(frozen=True, eq=False)
class DataSplits:
    """The splits of a data set; one that it does not have is None.

    image_shape: (C, H, W). augment: whether random crops and flips keep the label, as they do for natural images.
    normalize: the normalisation that suits a model for this data set, for ``MODELS.create(..., normalize=)``.
    """

    train: ImageData | None
    validation: ImageData | None
    test: ImageData | None
    num_classes: int
    image_shape: tuple[int, int, int]
    augment: bool
    normalize: str = "none"


def check_label_range(labels: Tensor, num_classes: int) -> None:
    """Labels must lie within 0..num_classes-1; ValueError otherwise."""
    if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < num_classes):
        raise ValueError(f"expected labels within 0..{num_classes - 1}, got {int(labels.min())}..{int(labels.max())}; "
                         "check num_classes")


def carve_validation(train: ImageData, validation: float, seed: int) -> tuple[ImageData, ImageData | None]:
    """Training images split into (train, validation); both keep the published order.

    validation: a count, or a fraction below 1; 0 for none. An image's place depends on seed and its index alone, by
    SHA-256, so it is the same on every platform and in every version. ValueError if no training image is left.
    """
    count = round(validation * len(train)) if 0 < validation < 1 else int(validation)
    if not 0 <= count < max(len(train), 1) or (validation >= 1 and count != validation):
        raise ValueError(f"expected validation as a count below {len(train)} or a fraction below 1, got {validation}")
    if count == 0:
        return train, None
    keys = [hashlib.sha256(f"validation {seed} {i}".encode()).digest() for i in train.index.tolist()]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    kept, carved = train.subset(sorted(order[count:])), train.subset(sorted(order[:count]))
    return kept, ImageData(carved.images, carved.labels, carved.index, carved.num_classes, carved.name, "validation")
