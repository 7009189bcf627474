"""CIFAR-10 through torchvision."""

from __future__ import annotations

import os

import torch

from rsmooth.data.images import ImageData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.errors import remedy
from rsmooth.registry import DATASETS


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
    train, held_out = carve_validation(_split(root, download, train=True), validation, seed)
    test = _split(root, download, train=False)
    return DataSplits(train, held_out, test, 10, (3, 32, 32), augment=True, normalize="cifar10")


def _split(root: str | os.PathLike[str], download: bool, *, train: bool) -> ImageData:
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision import datasets

    try:
        source = datasets.CIFAR10(root, train=train, download=download)
    except OSError as error:  # without a network, urllib names neither address nor remedy
        raise OSError(
            f"expected to fetch CIFAR-10 into {root}, got {error}; fetch cifar-10-python.tar.gz "
            "elsewhere and unpack it there"
        ) from error
    except RuntimeError as error:
        raise FileNotFoundError(
            f"expected CIFAR-10 (cifar-10-batches-py, unharmed) in {root}; "
            + remedy("give download=True", "give --dataset.download true")
            + " to fetch it there, or use the data set 'npz' for an .npz file"
        ) from error
    images = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(source.targets)
    return ImageData(
        images, labels, torch.arange(len(labels)), 10, "cifar10", "train" if train else "test"
    )
