"""CIFAR-10: through torchvision, and its official order."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

from rsmooth.data import load_dataset
from rsmooth.testing import check_dataset
from tests.data.helpers import ARRAYS, check_splits

CIFAR10 = os.environ.get("RSMOOTH_CIFAR10")


def test_cifar10_absent_says_what_to_do(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"expected CIFAR-10 .*give download=True .* or use .*'npz'"
    ):
        load_dataset("cifar10", root=tmp_path)


def test_cifar10_through_torchvision(tmp_path, monkeypatch):
    """A stand-in for torchvision's class, for its checksums admit the real files only."""

    class Stand:
        def __init__(self, root, train, download):
            assert (root, download) == (tmp_path, False)
            part = "train" if train else "test"
            self.data, self.targets = ARRAYS[f"x_{part}"], ARRAYS[f"y_{part}"].reshape(-1).tolist()

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Stand)
    splits = load_dataset("cifar10", root=tmp_path, validation=4)
    assert len(check_splits(splits, 40)) == 4
    assert np.array_equal(splits.test.images.permute(0, 2, 3, 1).numpy(), ARRAYS["x_test"])
    assert splits.test.index.tolist() == list(range(20))
    assert (splits.num_classes, splits.image_shape, splits.augment) == (10, (3, 32, 32), True)
    assert splits.normalize == "cifar10"


def test_cifar100_from_pickles_of_its_format(tmp_path, monkeypatch):
    """Its fine labels, in the real files' format, whose MD5 torchvision compares."""
    monkeypatch.setattr("torchvision.datasets.utils.check_md5", lambda *_, **__: True)
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    names = [f"class{k}" for k in range(100)]
    made = {}
    for part, count in (("train", 8), ("test", 4)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 3072), dtype=np.uint8)
        fine = [(25 * at + 3) % 100 for at in range(count)]
        made[part] = pixels, fine
        content = {"data": pixels, "fine_labels": fine, "coarse_labels": [0] * count}
        (folder / part).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    splits = load_dataset("cifar100", root=tmp_path)
    check_dataset(splits)
    assert (splits.num_classes, splits.class_names) == (100, tuple(names))
    assert np.array_equal(splits.test.images.flatten(1).numpy(), made["test"][0])
    assert splits.test.labels.tolist() == made["test"][1]
    assert (splits.augment, splits.normalize) == (True, "cifar100")
    with pytest.raises(FileNotFoundError, match=r"expected CIFAR-100 \(cifar-100-python"):
        load_dataset("cifar100", root=tmp_path / "nowhere")


@pytest.mark.skipif(not CIFAR10, reason="RSMOOTH_CIFAR10 does not name an .npz file of CIFAR-10")
def test_cifar10_test_images_are_in_the_official_order():
    """The labels of images 0..9 and of 0, 20, ..., 180 are those of the published logs."""
    test = load_dataset("npz", path=CIFAR10).test
    assert len(test) == 10_000
    assert test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert test.labels[torch.arange(0, 200, 20)].tolist() == [3, 7, 4, 7, 8, 4, 8, 6, 2, 0]
