"""MNIST, Fashion-MNIST, SVHN and STL-10 through torchvision."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsmooth.data.fetching import opened
from rsmooth.data.images import ImageData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import DATASETS

_IDX = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


@DATASETS.register("mnist")
def mnist(
    root: str | os.PathLike[str], download: bool = False, validation: float = 0, seed: int = 0
) -> DataSplits:
    """MNIST's handwritten digits, 28x28 and grey; index is the official order.

        splits = load_dataset("mnist", root="data", validation=5000)

    root: the folder that holds MNIST/raw with the IDX files. Files in .gz, there or in root itself,
        are unpacked.
    download: fetch it there if it is absent; otherwise FileNotFoundError.
    validation: a count or fraction of the training images, chosen by seed.

    LeCun et al. 1998, "Gradient-based learning applied to document recognition".
    """
    return _idx("MNIST", "mnist", root, download, validation, seed, augment=False)


@DATASETS.register("fashion-mnist")
def fashion_mnist(
    root: str | os.PathLike[str], download: bool = False, validation: float = 0, seed: int = 0
) -> DataSplits:
    """Fashion-MNIST: ten kinds of clothing, 28x28 and grey; index is the official order.

        splits = load_dataset("fashion-mnist", root="data")

    root: the folder that holds FashionMNIST/raw. The other options are those of ``mnist``.

    Xiao et al. 2017 (arXiv:1708.07747).
    """
    return _idx("FashionMNIST", "fashion-mnist", root, download, validation, seed, augment=True)


@DATASETS.register("svhn")
def svhn(
    root: str | os.PathLike[str], download: bool = False, validation: float = 0, seed: int = 0
) -> DataSplits:
    """The Street View House Numbers, cropped digits of 32x32; index is the order of the files.

        splits = load_dataset("svhn", root="data", validation=5000)

    root: the folder that holds train_32x32.mat and test_32x32.mat. The other options are those of
        ``mnist``.

    Label 10 of the files, which is the digit 0, is class 0. Netzer et al. 2011, "Reading digits in
    natural images with unsupervised feature learning".
    """
    root = user_path(root)

    def read(kind: Any, split: str) -> tuple[Tensor, Tensor, Any]:
        source = kind.SVHN(root, split=split, download=download)
        return torch.from_numpy(source.data.copy()), torch.from_numpy(source.labels), _DIGITS

    return _splits(
        *("SVHN", "svhn", "train_32x32.mat and test_32x32.mat", "these files", root, read),
        validation=validation,
        seed=seed,
        augment=False,
    )


@DATASETS.register("stl10")
def stl10(
    root: str | os.PathLike[str], download: bool = False, validation: float = 0, seed: int = 0
) -> DataSplits:
    """STL-10: ten classes of 96x96 colour images, 5,000 of them for training, with labels.

        splits = load_dataset("stl10", root="data")

    root: the folder that holds stl10_binary. The other options are those of ``mnist``.

    index is the order of the files; the ten folds and the images without labels are not used.
    Coates et al. 2011, "An analysis of single-layer networks in unsupervised feature learning".
    """
    root = user_path(root)

    def read(kind: Any, split: str) -> tuple[Tensor, Tensor, Any]:
        source = kind.STL10(root, split=split, download=download)
        labels = torch.from_numpy(source.labels).long()
        return torch.from_numpy(source.data.copy()), labels, getattr(source, "classes", None)

    return _splits(
        *("STL-10", "stl10", "stl10_binary", "stl10_binary.tar.gz", root, read),
        validation=validation,
        seed=seed,
        augment=True,
    )


_DIGITS = tuple(map(str, range(10)))


def _idx(
    kind: str,
    name: str,
    root: str | os.PathLike[str],
    download: bool,
    validation: float,
    seed: int,
    *,
    augment: bool,
) -> DataSplits:
    """A data set in IDX files, of torchvision's class ``kind``."""
    root = user_path(root)
    _unpack(root, root / kind / "raw")

    def read(module: Any, split: str) -> tuple[Tensor, Tensor, Any]:
        source = getattr(module, kind)(root, train=split == "train", download=download)
        return source.data.unsqueeze(1), source.targets.long(), source.classes

    files = f"{kind}/raw with {_IDX[0]} and three more"
    return _splits(
        *(kind, name, files, f"{_IDX[0]}.gz and three more", root, read),
        validation=validation,
        seed=seed,
        augment=augment,
    )


def _unpack(root: Path, raw: Path) -> None:
    """Unpack the IDX files that lie there in .gz only."""
    for name in _IDX:
        packed = next(
            (at / f"{name}.gz" for at in (raw, root) if (at / f"{name}.gz").is_file()), None
        )
        if packed is None or (raw / name).exists():
            continue
        try:
            content = gzip.decompress(packed.read_bytes())
        except (gzip.BadGzipFile, EOFError, ValueError) as error:
            raise ValueError(
                f"expected a .gz file, got {packed}, which is damaged ({error}); fetch it again"
            ) from error
        raw.mkdir(parents=True, exist_ok=True)
        replace_file(raw / name, content)


def _splits(
    title: str,
    name: str,
    files: str,
    archive: str,
    root: str | os.PathLike[str],
    read: Callable[[Any, str], tuple[Tensor, Tensor, Any]],
    *,
    validation: float,
    seed: int,
    augment: bool,
) -> DataSplits:
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision import datasets

    made, names = {}, None
    for split in ("train", "test"):
        images, labels, names = opened(partial(read, datasets, split), title, files, archive, root)
        index = torch.arange(len(labels), device="cpu")
        made[split] = ImageData(
            images.contiguous(), labels, index, 10, name, split, layout="channels_first"
        )
    channels, height, width = made["train"].images.shape[1:]
    train, held_out = carve_validation(made["train"], validation, seed)
    return DataSplits(
        train,
        held_out,
        made["test"],
        10,
        (channels, height, width),
        augment=augment,
        normalize=name,
        class_names=None if names is None else tuple(names),
    )
