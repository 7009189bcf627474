"""MNIST, Fashion-MNIST, SVHN and STL-10, from small files in their true formats."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import scipy.io
import torch

from rsmooth.data import load_dataset
from rsmooth.testing import check_dataset
from tests.data.helpers import check_splits

RANDOM = np.random.default_rng(3)
COUNTS = {"train": 12, "t10k": 6, "test": 6}


@pytest.fixture
def any_md5(monkeypatch):
    """Torchvision compares SVHN's and STL-10's files with the MD5 of the real ones."""
    monkeypatch.setattr("torchvision.datasets.utils.check_md5", lambda *_, **__: True)


def pixels(part: str, *shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (COUNTS[part], *shape), dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    """The IDX format: two zeros, 8 for uint8, the number of axes, their sizes, the bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, *, packed: bool) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True)
    arrays = {}
    for part in ("train", "t10k"):
        arrays[f"{part}-images-idx3-ubyte"] = pixels(part, 28, 28)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(COUNTS[part]) % 10).astype(np.uint8)
    for name, array in arrays.items():
        content = gzip.compress(idx(array)) if packed else idx(array)
        (folder / (f"{name}.gz" if packed else name)).write_bytes(content)
    return arrays


@pytest.mark.parametrize(
    ("name", "place", "packed", "first", "augment"),
    [
        ("mnist", "MNIST/raw", False, "0 - zero", False),
        ("mnist", "MNIST/raw", True, "0 - zero", False),
        ("fashion-mnist", "FashionMNIST/raw", False, "T-shirt/top", True),
        ("fashion-mnist", "", True, "T-shirt/top", True),
    ],
)
def test_idx_files(tmp_path, name, place, packed, first, augment):
    root = tmp_path / "data"
    arrays = write_idx(root / place, packed=packed)
    splits = load_dataset(name, root=root, validation=3)
    check_dataset(splits)
    assert len(check_splits(splits, 12)) == 3
    images = splits.test.images
    assert np.array_equal(images[:, 0].numpy(), arrays["t10k-images-idx3-ubyte"])
    assert splits.test.labels.tolist() == arrays["t10k-labels-idx1-ubyte"].tolist()
    assert (splits.image_shape, splits.num_classes) == ((1, 28, 28), 10)
    assert (splits.augment, splits.normalize) == (augment, name)
    assert (splits.class_names[0], len(splits.class_names)) == (first, 10)
    assert images.dtype == torch.uint8


def test_harmed_idx_files_are_refused(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    write_idx(raw, packed=True)
    packed = raw / "t10k-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz, which is damaged"):
        load_dataset("mnist", root=tmp_path)
    (raw / "t10k-images-idx3-ubyte").write_bytes(idx(pixels("t10k", 28, 28))[:-1])
    with pytest.raises(ValueError, match=r"expected MNIST .* got files that cannot be read"):
        load_dataset("mnist", root=tmp_path)


@pytest.mark.usefixtures("any_md5")
def test_svhn(tmp_path):
    made = {}
    for part in ("train", "test"):
        images, labels = pixels(part, 32, 32, 3), np.arange(COUNTS[part]) % 10
        made[part] = images, labels
        content = {
            "X": images.transpose(1, 2, 3, 0),
            "y": np.where(labels == 0, 10, labels)[:, None],
        }
        scipy.io.savemat(tmp_path / f"{part}_32x32.mat", content)
    splits = load_dataset("svhn", root=tmp_path, validation=2)
    check_dataset(splits)
    assert len(check_splits(splits, 12)) == 2
    images, labels = made["test"]
    assert np.array_equal(splits.test.images.permute(0, 2, 3, 1).numpy(), images)
    assert splits.test.labels.tolist() == labels.tolist(), "10 in the file is the digit 0"
    assert (splits.augment, splits.normalize) == (False, "svhn"), "a flipped 2 is no 2"
    assert splits.class_names == tuple("0123456789")


@pytest.mark.usefixtures("any_md5")
@pytest.mark.parametrize("named", [True, False])
def test_stl10(tmp_path, named):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    made = {}
    for part in ("train", "test"):
        images, labels = pixels(part, 3, 96, 96), np.arange(COUNTS[part]) % 10
        made[part] = images, labels
        # Columns come first in the file, and classes count from 1.
        (folder / f"{part}_X.bin").write_bytes(images.transpose(0, 1, 3, 2).tobytes())
        (folder / f"{part}_y.bin").write_bytes((labels + 1).astype(np.uint8).tobytes())
    (folder / "unlabeled_X.bin").write_bytes(b"")
    if named:
        (folder / "class_names.txt").write_text("\n".join(f"kind{k}" for k in range(10)))
    splits = load_dataset("stl10", root=tmp_path)
    check_dataset(splits)
    assert np.array_equal(splits.test.images.numpy(), made["test"][0])
    assert splits.test.labels.tolist() == made["test"][1].tolist()
    assert (splits.image_shape, splits.augment) == ((3, 96, 96), True)
    assert (splits.class_names or ("none",))[0] == ("kind0" if named else "none")


@pytest.mark.parametrize(
    ("name", "title"),
    [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("svhn", "SVHN"), ("stl10", "STL-10")],
)
def test_absent_files_say_what_to_do(tmp_path, name, title):
    with pytest.raises(FileNotFoundError, match=rf"expected {title} .*give download=True"):
        load_dataset(name, root=tmp_path)
