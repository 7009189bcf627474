"""From arrays, tensors and data sets of others to ImageData."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from rsmooth.checks import check_images
from rsmooth.data.images import ImageData


def to_unit(images: Tensor) -> Tensor:
    """Images in use: uint8 -> float32 / 255; floating-point images pass through."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def as_image_data(data: Any, num_classes: int | None = None) -> ImageData:
    """ImageData from (images, labels) tensors or arrays, a TensorDataset, or any map-style Dataset of (x, y).

    Images: uint8, or floating-point in [0, 1]; (N, C, H, W), (N, H, W, C) with 1 or 3 channels last, or (N, H, W).
    Floating-point images on the 8-bit grid become uint8. num_classes: by default the largest label + 1. The index is
    the position. ValueError for anything else. ImageData passes through.
    """
    if isinstance(data, ImageData):
        if num_classes not in (None, data.num_classes):
            raise ValueError(f"expected data of {num_classes} classes, got {data.num_classes} in {data}")
        return data
    name = "tensors"
    if isinstance(data, TensorDataset):
        data = data.tensors
    elif isinstance(data, Dataset):
        name, data = type(data).__name__, _gather(data)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError("expected ImageData, (images, labels), or a data set of such pairs, got "
                         f"{type(data).__name__}")
    images, labels = _at_rest(torch.as_tensor(data[0])), as_labels(data[1])
    if num_classes is None:
        num_classes = int(labels.max()) + 1 if len(labels) else 0
    return ImageData(images, labels, torch.arange(len(images), device=images.device), num_classes, name, "train")


def as_labels(values: Any) -> Tensor:
    """Labels (N,) or (N, 1) of any integer type as int64 (N,); ValueError otherwise."""
    labels = values if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"expected integer labels, got {labels.dtype}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"expected labels (N,) or (N, 1), got {tuple(labels.shape)}; one-hot labels need argmax(1)")
    return labels.to(torch.int64)


def channels_first(images: Tensor) -> Tensor:
    """(N, H, W) or (N, H, W, C) to contiguous (N, C, H, W)."""
    images = images.unsqueeze(1) if images.ndim == 3 else images.movedim(-1, 1)
    return images.contiguous()


def _at_rest(images: Tensor) -> Tensor:
    if images.ndim == 3 or (images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3)):
        images = channels_first(images)
    if images.dtype == torch.uint8:
        return images
    check_images(images)
    levels = (images.double() * 255).round()
    on_grid = bool(((levels / 255).to(images.dtype) == images).all())
    return levels.to(torch.uint8) if on_grid else images.float()


def _gather(dataset: Dataset[Any]) -> tuple[Tensor, Tensor]:
    """All pairs of a map-style data set, stacked."""
    if not isinstance(dataset, Sized):
        raise ValueError(f"expected a map-style data set with a length, got {type(dataset).__name__}")
    pairs = [dataset[i] for i in range(len(dataset))]
    if not pairs:
        raise ValueError(f"expected a data set with images, got an empty {type(dataset).__name__}")
    images = torch.stack([torch.as_tensor(x if isinstance(x, Tensor) else np.array(x)) for x, _ in pairs])
    return images, torch.tensor([int(y) for _, y in pairs])
