"""Data sets of others, item by item: those whose images change are read anew for every epoch."""

from __future__ import annotations

import hashlib
import operator
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData, check_labels_and_index
from rsmooth.data.layout import as_channels_first
from rsmooth.plumbing.tensors import check_images

# Further readings that must give the same images. A flip with probability 1/2 stays unseen with
# probability 2^-1000, a change that comes once in a hundred items with 3e-5.
READINGS = 1024
# What rows call their image and their label, the usual name first.
_KEYS = (("image", "img"), ("label", "labels", "fine_label"))
# Numbers of a palette are no pixels, and neither are truth values.
_AS_PIXELS = {"P": "RGB", "1": "L"}


def read_items(
    data: Dataset[Any], positions: Sequence[int], generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Images as they come, stacked, and labels int64 (N,) of some items.

        images, labels = read_items(torchvision.datasets.CIFAR10("data"), range(100))

    generator: decides what random transforms draw from torch, numpy and ``random``, whose own
        states stay as they are; None is one of seed 0.

    Pillow images become (C, H, W). ValueError for labels that are no integers, and for images of
    several shapes.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with _own_random_state():
        return _read_items(data, positions, generator)


def _read_items(
    data: Dataset[Any], positions: Sequence[int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """``read_items`` within a random state of its own."""
    images, labels = [], []
    for position in positions:
        _seed(int(torch.randint(2**62, (), generator=generator, device="cpu")))
        x, y = _pair(data[position], data)
        images.append(_as_tensor(x))
        labels.append(_as_class(y, position))
        if images[-1].shape != images[0].shape or images[-1].dtype != images[0].dtype:
            raise ValueError(
                f"expected images of one shape and type, got {tuple(images[0].shape)} "
                f"{images[0].dtype} and {tuple(images[-1].shape)} {images[-1].dtype} for item "
                f"{position} of {type(data).__name__}; add a transform that resizes or converts"
            )
    return torch.stack(images), torch.tensor(labels, device="cpu")


def changing_item(data: Dataset[Any], images: Tensor, labels: Tensor) -> int | None:
    """An item that another reading gives another image; None where the READINGS next ones agree.

        changing_item(data, *read_items(data, range(len(data))))

    images, labels: those of a first reading of all items. ValueError for labels that change.
    """
    count = len(images)
    spread = torch.linspace(0, count - 1, min(count, READINGS), device="cpu").long().tolist()
    with _own_random_state():
        return _changing_item(data, images, labels, spread)


def _changing_item(
    data: Dataset[Any], images: Tensor, labels: Tensor, spread: Sequence[int]
) -> int | None:
    """``changing_item`` among these positions, within a random state of its own."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(-(-READINGS // len(spread))):
        for position in spread:
            again, label = _read_items(data, [position], generator)
            if int(label) != int(labels[position]):
                raise ValueError(
                    f"expected one label per image, got {int(labels[position])} and {int(label)} "
                    f"at two readings of item {position} of {type(data).__name__}; train on class "
                    "probabilities with PseudoLabels, or fix the labels"
                )
            if again.shape[1:] != images.shape[1:] or not torch.equal(again[0], images[position]):
                return int(position)
    return None


def check_repeatable(data: Dataset[Any], images: Tensor, labels: Tensor) -> None:
    """ValueError, with the remedy, for a data set that does not give the same images again."""
    position = changing_item(data, images, labels)
    if position is not None:
        raise ValueError(
            f"expected the same images at every reading, got others for item {position} of "
            f"{type(data).__name__}, whose transforms are random; leave these out here. Only "
            "Trainer.fit takes it as training data, which it reads anew for every epoch"
        )


@dataclass(frozen=True, eq=False)
class ItemData:
    """Training images of a data set with random transforms, read when a batch asks for them.

        images, labels = ItemData(data, labels, num_classes=10, image_shape=(3, 32, 32)).batch([0])

    labels: int64 (N,). image_shape: (C, H, W).

    Fields and methods are those of FolderData, so far as training uses them.
    """

    items: Dataset[Any]
    labels: Tensor
    num_classes: int
    image_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        check_labels_and_index(self.labels, self.index, len(self.labels), self.num_classes)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def index(self) -> Tensor:
        """The positions, int64 (N,)."""
        return torch.arange(len(self.labels), device="cpu")

    def batch(
        self, positions: Tensor | Sequence[int], generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), uint8 or float32 in [0, 1], and labels (B,), read now.

        generator: decides what the random transforms draw; None is one of seed 0.
        """
        wanted = torch.as_tensor(positions, dtype=torch.int64, device="cpu").tolist()
        images, labels = read_items(self.items, wanted, generator)
        images = as_channels_first(images)
        if images.dtype != torch.uint8:
            check_images(images, channels=images.shape[1])
            images = images.float()
        return images, labels

    def listing(self) -> str:
        """What names the data in records: by its type, labels and shape, for its images change."""
        digest = hashlib.sha256(f"{type(self.items).__qualname__} {self.image_shape}".encode())
        digest.update(self.labels.numpy().data)
        return digest.hexdigest()[:16]


AnyData = ImageData | FolderData | ItemData
"""What training takes its images from."""


def _pair(item: Any, data: object) -> tuple[Any, Any]:
    """The image and the label of an item; ValueError for an item of another form."""
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    if isinstance(item, Mapping):  # rows of Hugging Face
        image, label = (next((key for key in keys if key in item), None) for keys in _KEYS)
        if image is not None and label is not None:
            return item[image], item[label]
    keys = f" of {', '.join(map(str, item))}" if isinstance(item, Mapping) else ""
    raise ValueError(
        f"expected pairs (image, label) from {type(data).__name__}, or rows with an image and a "
        f"label, got {type(item).__name__}{keys}; wrap it in a Dataset whose __getitem__ returns "
        "such pairs"
    )


def _as_tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    if not isinstance(x, Image.Image):
        return torch.from_numpy(np.array(x))
    pixels = np.array(x.convert(_AS_PIXELS.get(x.mode, x.mode)))
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0).copy())


def _as_class(y: Any, position: int) -> int:
    """A label as an int: of any integer type, never cut."""
    try:
        value: Any = y.item() if isinstance(y, (Tensor, np.ndarray)) else y
        if not isinstance(value, (bool, np.bool_)):
            return operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ValueError(
        f"expected an integer label, got {y!r} for item {position}; number the classes"
    )


@contextmanager
def _own_random_state() -> Iterator[None]:
    """A context after which torch, numpy and ``random`` go on from where they were."""
    # numpy's old global state, since that is what transforms draw from.
    theirs = np.random.get_state()  # noqa: NPY002
    state, pythons = torch.get_rng_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(state)
        np.random.set_state(theirs)  # noqa: NPY002
        random.setstate(pythons)


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)  # not of every GPU as well
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
