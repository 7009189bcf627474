"""From arrays, tensors and data sets of others to ImageData."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any, TypeAlias, TypeGuard, cast, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
    default_convert,
)

from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData, check_data, is_data
from rsmooth.data.items import ItemData, changing_item, check_repeatable, read_items
from rsmooth.data.layout import Layout, as_channels_first
from rsmooth.plumbing.tensors import as_labels, check_images

Convertible: TypeAlias = ImageData | tuple[Any, Any] | list[Any] | Dataset[Any] | DataLoader[Any]


class _MapStyle(Sized, Dataset[Any]):
    pass


# In grey levels: what float32 rounding of k / 255 leaves, and more.
GRID_TOLERANCE = 1e-4
VALUES = 2**22  # that are rounded at once


def to_unit(images: Tensor) -> Tensor:
    """Images in use: float32 in [0, 1].

        x = to_unit(splits.test.images)

    images: uint8, which become uint8 / 255, or floating-point, which pass through.
    """
    return images.float() / 255 if images.dtype == torch.uint8 else images


@overload
def as_image_data(
    data: FolderData,
    num_classes: int | None = None,
    layout: Layout | None = None,
    split: str = "train",
) -> FolderData: ...
@overload
def as_image_data(
    data: Convertible,
    num_classes: int | None = None,
    layout: Layout | None = None,
    split: str = "train",
) -> ImageData: ...
def as_image_data(
    data: Convertible | FolderData,
    num_classes: int | None = None,
    layout: Layout | None = None,
    split: str = "train",
) -> ImageData | FolderData:
    """ImageData from tensors, arrays or a data set of pairs (x, y).

        data = as_image_data((x, y), num_classes=10)
        data = as_image_data(datasets.load_dataset("cifar10")["test"])       # of Hugging Face

    data: (images, labels); a TensorDataset; any map-style data set of pairs, or of rows with an
        image and a label; or a DataLoader of one, whose batches and order are not used. Images are
        uint8, or floating-point in [0, 1], or of Pillow; (N, C, H, W), (N, H, W, C) or (N, H, W).
    num_classes: by default the largest label + 1.
    layout: "channels_first" or "channels_last"; None where only one end can hold channels.
    split: what records call the part of the data set.

    Floating-point images on the 8-bit grid (to 1e-4 of a level) become uint8. The index is the
    position. ImageData and FolderData pass through. ValueError for anything else; for a DataLoader
    whose sampler or collate_fn chooses or changes images; and for a data set that gives other
    images at another reading: ``Trainer.fit`` reads such a one anew for every epoch.
    """
    if isinstance(data, (ImageData, FolderData)):
        if num_classes not in (None, data.num_classes):
            raise ValueError(
                f"expected data of {num_classes} classes, got {data}; check num_classes"
            )
        return data
    source: Convertible = of_loader(data)
    return _data(source, *_arrays(source), num_classes, layout, split)


def as_data(
    data: Convertible | FolderData, num_classes: int | None = None
) -> ImageData | FolderData:
    """What has images, labels and an index stays as it is; data of others by ``as_image_data``.

        as_data(torchvision.datasets.CIFAR10("data", train=False), num_classes=10)

    Records call their split "as given", for nothing is known of it. TypeError for what is no data
    set.
    """
    if is_data(data):
        return cast("ImageData | FolderData", data)
    if not hasattr(data, "__len__") and not isinstance(data, DataLoader):
        check_data(data)
    return as_image_data(data, num_classes, split="as given")


def as_training_data(
    data: Convertible | FolderData, num_classes: int
) -> ImageData | FolderData | ItemData:
    """``as_image_data``, but a data set with random transforms stays one, to be read every epoch.

    as_training_data(torchvision.datasets.CIFAR10("data", transform=RandomCrop(32, 4)), 10)
    """
    data = of_loader(data)
    if not _is_read_by_item(data):
        return as_image_data(data, num_classes)
    images, labels = read_items(data, range(len(data)))
    if changing_item(data, images, labels) is None:
        return _data(data, images, labels, num_classes, None, "train")
    return ItemData(data, labels, num_classes, tuple(as_channels_first(images[:1]).shape[1:]))


def _data(
    data: object,
    images: Tensor,
    labels: Tensor,
    num_classes: int | None,
    layout: Layout | None,
    split: str,
) -> ImageData:
    images = at_rest(as_channels_first(images, layout).contiguous())
    if num_classes is None:
        num_classes = int(labels.max()) + 1 if len(labels) else 0
    return ImageData(
        images,
        labels,
        torch.arange(len(images), device=images.device),
        num_classes,
        "tensors" if isinstance(data, (tuple, list)) else type(data).__name__,
        split,
        layout="channels_first" if layout else None,
    )


def _is_read_by_item(data: Any) -> TypeGuard[_MapStyle]:
    """Whether it is a map-style data set of pairs, not one of plain tensors, and not empty."""
    plain = (TensorDataset, ImageData, FolderData, Tensor, np.ndarray, list, tuple, str, Mapping)
    if isinstance(data, plain) or hasattr(data, "columns"):  # a table is read by its columns
        return False
    return hasattr(data, "__getitem__") and isinstance(data, Sized) and len(data) > 0


def of_loader(data: Any) -> Any:
    """The data set of a DataLoader that gives all of its images as they are; other data as it is.

        of_loader(DataLoader(data, batch_size=32, shuffle=True)) is data

    How many images make a batch, and in which order, is said elsewhere. ValueError for a loader
    that would give other images: whose sampler leaves some out or repeats some, or whose collate_fn
    is its own.
    """
    if not isinstance(data, DataLoader):
        return data
    sampler, source = data.sampler, data.dataset
    whole = type(sampler) is SequentialSampler or (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.num_samples == (len(source) if isinstance(source, Sized) else None)
    )
    batches = type(data.batch_sampler) in (BatchSampler, type(None))
    if whole and batches and data.collate_fn in (default_collate, default_convert):
        return source
    raise ValueError(
        "expected a DataLoader of a map-style data set that gives each of its images once, got one "
        f"with {type(sampler).__name__}, {type(data.batch_sampler).__name__} and a collate_fn "
        f"{getattr(data.collate_fn, '__name__', type(data.collate_fn).__name__)}; give the data "
        "set: loader.dataset, or torch.utils.data.Subset(loader.dataset, positions)"
    )


def _arrays(data: Convertible) -> tuple[Tensor, Tensor]:
    """Images as they come, labels int64 (N,)."""
    if isinstance(data, TensorDataset):
        data = list(data.tensors)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        images = data[0] if isinstance(data[0], Tensor) else torch.from_numpy(np.array(data[0]))
        return images, as_labels(data[1])
    if _is_read_by_item(data):
        images, labels = read_items(data, range(len(data)))
        check_repeatable(data, images, labels)
        return images, labels
    raise ValueError(
        "expected ImageData, (images, labels), or a map-style data set of such pairs that is not "
        f"empty, got {type(data).__name__}{_way_out(data)}"
    )


def _way_out(data: object) -> str:
    """What to do with some things that are no data set of pairs."""
    if hasattr(data, "train") and hasattr(data, "test"):
        return "; give one of its splits, such as data.train"
    if isinstance(data, Mapping) and data:
        return f"; choose one of its entries, such as data[{next(iter(data))!r}]"
    if isinstance(data, (Tensor, np.ndarray)):
        return "; give labels too: (images, labels)"
    if isinstance(data, IterableDataset) or not hasattr(data, "__getitem__"):
        return "; read it into (images, labels) first"
    return ""


def at_rest(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in uint8 if they are on its grid, else float32."""
    if images.dtype == torch.uint8:
        return images
    check_images(images, channels=images.shape[1])
    found = torch.empty_like(images, dtype=torch.uint8)
    # Some at a time, since float64 and its roundings take many times the memory of the images.
    each = max(1, VALUES // max(images[0].numel(), 1)) if len(images) else 1
    for part, kept in zip(torch.split(images, each), torch.split(found, each), strict=True):
        levels = part.double() * 255
        whole = levels.round()
        if part.numel() and not bool((levels - whole).abs().max() < GRID_TOLERANCE):
            return images.float()
        kept.copy_(whole)
    return found
