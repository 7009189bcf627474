"""CIFAR-10 and CIFAR-100 through torchvision."""

from __future__ import annotations

import os

import torch

from rsmooth.data.fetching import opened
from rsmooth.data.images import ImageData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import DATASETS

_FOLDERS = {10: "cifar-10-batches-py", 100: "cifar-100-python"}


@DATASETS.register("cifar10")
def cifar10(
    root: str | os.PathLike[str], download: bool = False, validation: float = 0, seed: int = 0
) -> DataSplits:
    """CIFAR-10 as torchvision keeps it; index is the official order.

        splits = load_dataset("cifar10", root="data", validation=5000)

    root: the folder that holds cifar-10-batches-py.
    download: fetch it there if it is absent; otherwise FileNotFoundError.
    validation: a count or fraction of the training images, chosen by seed.
    """
    return _splits(10, root, download, validation, seed)


@DATASETS.register("cifar100")
def cifar100(
    root: str | os.PathLike[str], download: bool = False, validation: float = 0, seed: int = 0
) -> DataSplits:
    """CIFAR-100 as torchvision keeps it, with its 100 fine labels; index is the official order.

        splits = load_dataset("cifar100", root="data", validation=5000)

    root: the folder that holds cifar-100-python. The other options are those of ``cifar10``.
    """
    return _splits(100, root, download, validation, seed)


def _splits(
    classes: int, root: str | os.PathLike[str], download: bool, validation: float, seed: int
) -> DataSplits:
    root = user_path(root)
    train, names = _split(classes, root, download, train=True)
    train, held_out = carve_validation(train, validation, seed)
    test, _ = _split(classes, root, download, train=False)
    return DataSplits(
        train,
        held_out,
        test,
        classes,
        (3, 32, 32),
        augment=True,
        normalize=f"cifar{classes}",
        class_names=names,
    )


def _split(
    classes: int, root: str | os.PathLike[str], download: bool, *, train: bool
) -> tuple[ImageData, tuple[str, ...] | None]:
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision import datasets

    source = opened(
        lambda: getattr(datasets, f"CIFAR{classes}")(root, train=train, download=download),
        f"CIFAR-{classes}",
        _FOLDERS[classes],
        f"cifar-{classes}-python.tar.gz",
        root,
    )
    images = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(source.targets, device="cpu")
    split, index = "train" if train else "test", torch.arange(len(labels), device="cpu")
    names = tuple(getattr(source, "classes", ())) or None
    return ImageData(images, labels, index, classes, f"cifar{classes}", split), names
