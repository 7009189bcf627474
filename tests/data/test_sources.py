"""The data sets: their pixels against their sources, their splits, their order, their errors."""

import os
import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from rsmooth.data import load_dataset
from rsmooth.registry import DATASETS

CIFAR10 = os.environ.get("RSMOOTH_CIFAR10")
ARRAYS = {
    name: np.random.default_rng(7).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    for name, n in (("x_train", 40), ("x_test", 20))
}
ARRAYS |= {"y_train": np.arange(40) % 5, "y_test": (np.arange(20) % 5)[:, None].astype(np.uint8)}


def write(path, drop=(), **changes):
    np.savez(path, **{name: a for name, a in {**ARRAYS, **changes}.items() if name not in drop})
    return path


def check_splits(splits, train_count):
    """Every training image is in exactly one of train and validation, in the published order in
    both.
    """
    held_out = splits.validation.index.tolist() if splits.validation else []
    kept = splits.train.index.tolist()
    assert sorted(kept + held_out) == list(range(train_count))
    assert kept == sorted(kept)
    assert held_out == sorted(held_out)
    return held_out


def test_the_list_is_complete():
    own = [
        name for name in DATASETS.names() if DATASETS.get(name).__module__.startswith("rsmooth.")
    ]
    assert own == ["cifar10", "digits", "folder", "npz"]


# ---- digits


def test_digits_are_sklearns():
    splits, source = load_dataset("digits"), load_digits()
    for data in (splits.train, splits.validation, splits.test):
        at = data.index.numpy()
        levels = data.images[:, 0].double().numpy() * 16 / 255
        assert np.abs(levels - source.images[at]).max() <= 0.5 * 16 / 255 + 1e-12
        assert np.array_equal(data.labels.numpy(), source.target[at])
    assert splits.train.images.max() == 255
    assert (splits.num_classes, splits.image_shape, splits.augment) == (10, (1, 8, 8), False)
    assert splits.normalize == "none"


def test_digits_splits_are_disjoint_and_the_test_order_is_fixed():
    splits = load_dataset("digits")
    held_out = check_splits(splits, 1297)
    assert len(held_out) == 130
    assert splits.test.index.tolist() == list(range(1297, 1797))
    assert [splits.train.split, splits.validation.split, splits.test.split] == [
        "train",
        "validation",
        "test",
    ]


def test_digits_are_the_same_everywhere():
    """Fixed values: a certificate's index and fingerprint must mean the same image in every
    version.
    """
    splits = load_dataset("digits")
    assert splits.validation.index[:5].tolist() == [2, 4, 7, 16, 19]
    assert splits.test.fingerprint() == "33083429fece4e40"


@pytest.mark.parametrize(
    ("validation", "count"), [(0, 0), (200, 200), (0.5, 648), (1, 1), (1296, 1296)]
)
def test_validation_is_a_count_or_a_fraction(validation, count):
    splits = load_dataset("digits", validation=validation)
    assert len(check_splits(splits, 1297)) == count
    assert (splits.validation is None) == (count == 0)
    assert len(splits.test) == 500


def test_validation_hangs_on_seed_and_index_alone():
    held_out = [
        set(load_dataset("digits", validation=v, seed=s).validation.index.tolist())
        for v, s in ((100, 0), (200, 0), (100, 1))
    ]
    assert held_out[0] < held_out[1], "a larger validation split holds the smaller one"
    assert len(held_out[0] & held_out[2]) < 40  # 7.7 expected, hypergeometric: P(>= 40) < 1e-15


@pytest.mark.parametrize("validation", [-1, 1297, 5000, 1.5, 0.9999])
def test_validation_must_leave_training_images(validation):
    with pytest.raises(
        ValueError,
        match=re.escape(
            f"expected validation as a count below 1297 or a fraction below 1, got {validation}"
        ),
    ):
        load_dataset("digits", validation=validation)


# ---- npz


def test_npz_holds_what_the_file_holds(tmp_path):
    splits = load_dataset("npz", path=write(tmp_path / "my-data.npz"))
    for name in ("train", "test"):
        data = getattr(splits, name)
        assert np.array_equal(data.images.permute(0, 2, 3, 1).numpy(), ARRAYS[f"x_{name}"])
        assert np.array_equal(data.labels.numpy(), ARRAYS[f"y_{name}"].reshape(-1))
        assert data.index.tolist() == list(range(len(data)))
        assert (data.name, data.split, data.num_classes) == ("my-data", name, 5)
        assert data.images.is_contiguous()
    assert splits.validation is None
    assert (splits.num_classes, splits.image_shape, splits.augment) == (5, (3, 32, 32), True)
    assert splits.normalize == "cifar10"


def test_npz_options(tmp_path):
    path = write(tmp_path / "data.npz")
    assert load_dataset("npz", path=path, num_classes=10).test.num_classes == 10
    assert load_dataset("npz", path=path, augment=False).augment is False
    assert len(check_splits(load_dataset("npz", path=path, validation=0.25), 40)) == 10
    carved = [
        load_dataset("npz", path=path, validation=10, seed=s).validation.index.tolist()
        for s in (0, 1)
    ]
    assert carved[0] != carved[1]
    with pytest.raises(ValueError, match=r"expected labels within 0\.\.3"):
        load_dataset("npz", path=path, num_classes=4)


def test_npz_of_grey_images_compressed(tmp_path):
    grey = {name: ARRAYS[name][..., 0] if name.startswith("x") else ARRAYS[name] for name in ARRAYS}
    np.savez_compressed(tmp_path / "grey.npz", **grey)
    splits = load_dataset("npz", path=tmp_path / "grey.npz")
    assert np.array_equal(splits.test.images[:, 0].numpy(), grey["x_test"])
    assert (splits.image_shape, splits.augment, splits.normalize) == ((1, 32, 32), False, "none")


@pytest.mark.parametrize(
    ("drop", "missing"), [(("x_train", "y_train"), "train"), (("x_test", "y_test"), "test")]
)
def test_npz_parts_may_be_absent(tmp_path, drop, missing):
    splits = load_dataset("npz", path=write(tmp_path / "data.npz", drop=drop))
    assert getattr(splits, missing) is None
    assert getattr(splits, {"train": "test", "test": "train"}[missing]) is not None


@pytest.mark.parametrize(
    ("drop", "changes", "message"),
    [
        (
            tuple(ARRAYS),
            {"images": ARRAYS["x_test"]},
            "expected x_train and y_train, or x_test and y_test, in .*neither",
        ),
        (("y_test",), {}, "expected x_test and y_test together in .*, got x_test alone"),
        ((), {"x_test": ARRAYS["x_test"] / 255}, "expected x_test as uint8 .*, got float64"),
        ((), {"x_test": ARRAYS["x_test"][0]}, "expected images of one shape in"),
        (
            (),
            {"x_test": ARRAYS["x_test"].reshape(20, -1)},
            r"expected x_test as uint8 \(N, H, W, C\) .*\(20, 3072\)",
        ),
        (
            (),
            {"x_test": ARRAYS["x_test"].transpose(0, 3, 1, 2)},
            r"expected x_test with channels last, got \(20, 3,",
        ),
        ((), {"x_test": ARRAYS["x_test"][:, :28]}, "expected images of one shape in"),
        ((), {"y_test": np.arange(20.0)}, "expected integer labels, got torch.float64"),
        (
            (),
            {"y_test": np.arange(19)},
            r"expected labels as int64 \(20,\), got torch.int64 \(19,\)",
        ),
        ((), {"y_test": -np.ones(20, dtype=int)}, r"expected labels within 0\.\.4, got -1\.\.-1"),
        (
            (),
            {"y_test": np.array([None] * 20)},
            "expected an .npz file of plain arrays, .*allow_pickle=False",
        ),
    ],
)
def test_npz_of_another_layout_is_refused(tmp_path, drop, changes, message):
    with pytest.raises(ValueError, match=message):
        load_dataset("npz", path=write(tmp_path / "data.npz", drop=drop, **changes))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", pickle.dumps([1])])
def test_what_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"expected an \.npz file of plain arrays, got .*data\.npz, which"
    ):
        load_dataset("npz", path=tmp_path / "data.npz")


def test_a_lone_array_or_a_damaged_npz_is_refused(tmp_path):
    np.save(tmp_path / "data.npy", ARRAYS["x_test"])
    whole = write(tmp_path / "data.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped.npz").write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    for name in ("data.npy", "short.npz", "flipped.npz"):
        with pytest.raises(ValueError, match=r"expected an \.npz file of plain arrays"):
            load_dataset("npz", path=tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_dataset("npz", path=tmp_path / "absent.npz")


# ---- CIFAR-10


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


@pytest.mark.skipif(not CIFAR10, reason="RSMOOTH_CIFAR10 does not name an .npz file of CIFAR-10")
def test_cifar10_test_images_are_in_the_official_order():
    """The labels of images 0..9 and of 0, 20, ..., 180 are those of the published logs."""
    test = load_dataset("npz", path=CIFAR10).test
    assert len(test) == 10_000
    assert test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert test.labels[torch.arange(0, 200, 20)].tolist() == [3, 7, 4, 7, 8, 4, 8, 6, 2, 0]


def test_an_npz_file_without_images_is_refused(tmp_path):
    np.savez(
        tmp_path / "none.npz", x_test=np.zeros((0, 8, 8), np.uint8), y_test=np.zeros(0, np.int64)
    )
    with pytest.raises(ValueError, match="expected at least one image in x_test"):
        load_dataset("npz", path=tmp_path / "none.npz")
