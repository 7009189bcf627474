"""From arrays, tensors and data sets of others to ImageData."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.plumbing.tensors import check_images

Convertible: TypeAlias = ImageData | tuple[Any, Any] | list[Any] | Dataset[Any]

# In grey levels: what float32 rounding of k / 255 leaves, and more.
GRID_TOLERANCE = 1e-4


def to_unit(images: Tensor) -> Tensor:
    """Images in use: float32 in [0, 1].

        x = to_unit(splits.test.images)

    images: uint8, which become uint8 / 255, or floating-point, which pass through.
    """
    return images.float() / 255 if images.dtype == torch.uint8 else images


@overload
def as_image_data(data: FolderData, num_classes: int | None = None) -> FolderData: ...
@overload
def as_image_data(data: Convertible, num_classes: int | None = None) -> ImageData: ...
def as_image_data(
    data: Convertible | FolderData, num_classes: int | None = None
) -> ImageData | FolderData:
    """ImageData from tensors, arrays or a data set of pairs (x, y).

        data = as_image_data((x, y), num_classes=10)

    data: (images, labels), a TensorDataset, or any map-style Dataset of pairs. Images are uint8, or
        floating-point in [0, 1]; (N, C, H, W), (N, H, W, C) with 1 or 3 channels, or (N, H, W).
    num_classes: by default the largest label + 1.

    Floating-point images on the 8-bit grid (to 1e-4 of a level) become uint8. The index is the
    position. ImageData and FolderData pass through. ValueError for anything else.
    """
    if isinstance(data, (ImageData, FolderData)):
        if num_classes not in (None, data.num_classes):
            raise ValueError(
                f"expected data of {num_classes} classes, got {data}; check num_classes"
            )
        return data
    name = type(data).__name__ if isinstance(data, Dataset) else "tensors"
    images, labels = _arrays(data)
    images = _at_rest(images)
    if num_classes is None:
        num_classes = int(labels.max()) + 1 if len(labels) else 0
    return ImageData(
        images, labels, torch.arange(len(images), device=images.device), num_classes, name, "train"
    )


def _arrays(data: Convertible) -> tuple[Tensor, Tensor]:
    """Images as they come, labels int64 (N,)."""
    if isinstance(data, TensorDataset):
        data = list(data.tensors)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        images = data[0] if isinstance(data[0], Tensor) else torch.from_numpy(np.array(data[0]))
        return images, as_labels(data[1])
    if isinstance(data, Dataset) and isinstance(data, Sized) and len(data):
        pairs = [data[i] for i in range(len(data))]
        images = torch.stack(
            [x if isinstance(x, Tensor) else torch.from_numpy(np.array(x)) for x, _ in pairs]
        )
        return images, torch.tensor([int(y) for _, y in pairs])
    raise ValueError(
        "expected ImageData, (images, labels), or a map-style data set of such pairs that is not "
        f"empty, got {type(data).__name__}"
    )


def as_labels(values: Any) -> Tensor:
    """Labels (N,) or (N, 1) of any integer type as int64 (N,); ValueError otherwise."""
    labels = values if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"expected integer labels, got {labels.dtype}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"expected labels (N,) or (N, 1), got {tuple(labels.shape)}; one-hot labels need "
            "argmax(1)"
        )
    return labels.to(torch.int64)


def channels_first(images: Tensor) -> Tensor:
    """(N, H, W) or (N, H, W, C) to contiguous (N, C, H, W)."""
    images = images.unsqueeze(1) if images.ndim == 3 else images.movedim(-1, 1)
    return images.contiguous()


def _at_rest(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in uint8 if they are on its grid, else float32."""
    if images.ndim == 3 or (
        images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3)
    ):
        images = channels_first(images)
    if images.dtype == torch.uint8:
        return images
    check_images(images)
    levels = images.double() * 255
    on_grid = bool((levels - levels.round()).abs().max() < GRID_TOLERANCE) if len(images) else True
    return levels.round().to(torch.uint8) if on_grid else images.float()
