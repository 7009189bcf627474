"""Data sets in an .npz file: what the file holds, its options, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from rsmooth.data import load_dataset
from rsmooth.data.arrays import read_npz
from tests.data.helpers import ARRAYS, check_splits


def write(path, drop=(), **changes):
    np.savez(path, **{name: a for name, a in {**ARRAYS, **changes}.items() if name not in drop})
    return path


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


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_with_changed_bytes_is_refused_or_the_same(tmp_path, save):
    """Whatever byte changes, the error names the file; what is read is what was written."""
    save(tmp_path / "whole.npz", x=np.arange(9, dtype=np.uint8))
    whole = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "changed.npz"
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            found = read_npz(path, lambda there: there)
        except ValueError as error:
            assert f"got {path}, which cannot be read so" in str(error)  # noqa: PT017
            refused += 1
        else:
            assert [a.tolist() for a in found.values()] in ([], [list(range(9))])
    assert refused > len(whole) // 2


def test_an_npz_file_without_images_is_refused(tmp_path):
    np.savez(
        tmp_path / "none.npz", x_test=np.zeros((0, 8, 8), np.uint8), y_test=np.zeros(0, np.int64)
    )
    with pytest.raises(ValueError, match="expected at least one image in x_test"):
        load_dataset("npz", path=tmp_path / "none.npz")
