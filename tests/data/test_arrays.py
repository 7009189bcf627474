"""Data sets in an .npz file: what the file holds, its options, and what is refused."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest
import torch

from rsmooth.data import as_image_data, load_dataset
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
        (
            (),
            {"x_test": ARRAYS["x_test"] / 254.5},
            r"expected images in \[0, 1\], got .* in x_test of .*data\.npz .float64",
        ),
        (
            (),
            {"x_test": ARRAYS["x_test"] / 255.5},
            r"expected levels of 1/255, got others, in x_test of .*; save x in \[0, 1\] as np",
        ),
        (
            (),
            {"x_test": ARRAYS["x_test"].astype(np.uint16) * 257},
            "expected uint8 images, or floating-point ones in .*, in x_test of .*uint16",
        ),
        ((), {"x_test": ARRAYS["x_test"][0]}, r"expected labels as int64 \(32,\)"),
        (
            (),
            {"x_test": ARRAYS["x_test"].reshape(20, -1)},
            r"expected images \(N, H, W, C\), .*\(20, 3072\), in x_test of .*data\.npz",
        ),
        ((), {"x_test": ARRAYS["x_test"][:, :28]}, "expected images of one shape in"),
        (
            (),
            {"y_test": np.arange(20.0)},
            r"expected integer labels, got torch.float64; .*, in y_test of .*data\.npz",
        ),
        (
            (),
            {"y_test": np.array(["cat", "dog"] * 10)},
            "expected integer labels, got <U3; number them .*, in y_test of",
        ),
        (
            (),
            {"y_test": np.arange(19)},
            r"expected labels as int64 \(20,\), got torch.int64 \(19,\), in y_test of",
        ),
        (
            (),
            {"y_test": -np.ones(20, dtype=int)},
            r"expected labels from 0 on, got -1\.\.-1; number the classes from 0, in y_test of",
        ),
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
        with pytest.raises(ValueError, match=r"expected an \.npz file of (plain|named) arrays"):
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


@pytest.mark.parametrize("shape", [(12, 28, 28), (12, 8, 8, 3)])
def test_no_bit_of_an_uncompressed_npz_changes_the_images(tmp_path, shape):
    """Numpy takes a header with a smaller shape at its word, and leaves the checksum unread."""
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "good.npz", x_test=images, y_test=np.arange(12) % 3)
    whole = (tmp_path / "good.npz").read_bytes()
    good = load_dataset("npz", path=tmp_path / "good.npz").test
    path = tmp_path / "flip.npz"
    header = whole.find(b"\x93NUMPY")
    refused = 0
    for place in range(header, header + 128):
        for bit in range(8):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            path.write_bytes(content)
            try:
                found = load_dataset("npz", path=path).test
            except ValueError as error:
                assert "flip.npz" in str(error)  # noqa: PT017
                refused += 1
            else:
                assert torch.equal(found.images, good.images)
                assert torch.equal(found.labels, good.labels)
    assert refused == 1024


def test_a_member_that_is_longer_than_its_header_says_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "long.npz", "w") as file, file.open("x.npy", "w") as member:
        np.lib.format.write_array(member, np.arange(9))
        member.write(b"more")
    with pytest.raises(ValueError, match=r"long\.npz, .* 4 bytes of x more than its header says"):
        read_npz(tmp_path / "long.npz", lambda there: there)


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2"])
def test_floating_point_images_on_the_grid_are_those_of_8_bits(tmp_path, kind):
    if kind == "<f2":  # 11 bits keep no 256 levels to the fourth digit
        with pytest.raises(ValueError, match="expected levels of 1/255, got others"):
            load_dataset(
                "npz",
                path=write(tmp_path / "f.npz", x_test=(ARRAYS["x_test"] / 255).astype(kind)),
            )
        return
    path = write(tmp_path / "f.npz", x_test=(ARRAYS["x_test"] / 255).astype(kind))
    found = load_dataset("npz", path=path).test
    assert np.array_equal(found.images.permute(0, 2, 3, 1).numpy(), ARRAYS["x_test"])


@pytest.mark.parametrize("kind", [">i4", "<u2", ">i8"])
def test_labels_of_any_byte_order_are_read(tmp_path, kind):
    path = write(tmp_path / "big.npz", y_test=(np.arange(20) % 5).astype(kind))
    assert load_dataset("npz", path=path).test.labels.tolist() == [*range(5)] * 4


@pytest.mark.parametrize(
    ("shape", "layout", "found"),
    [
        ((6, 4, 16, 16), None, (4, 16, 16)),
        ((6, 16, 16, 4), None, (4, 16, 16)),
        ((6, 3, 8, 8), None, (3, 8, 8)),
        ((6, 8, 8, 1), None, (1, 8, 8)),
        ((6, 9, 16, 1), "channels_first", (9, 16, 1)),
        ((6, 9, 16, 1), "channels_last", (1, 9, 16)),
        ((6, 16, 16, 1), "channels_first", (16, 16, 1)),
        ((6, 8, 8, 3), "channels_first", (8, 8, 3)),
        ((6, 9, 16, 1), None, None),
        ((6, 3, 8, 3), None, None),
        ((6, 4, 8, 4), None, None),
        ((6, 9, 9, 9), None, None),
    ],
)
def test_a_file_and_an_array_are_read_alike(tmp_path, shape, layout, found):
    """Axes are as said, or as they can only be; never guessed."""
    x, y = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), np.arange(6) % 2
    np.savez(tmp_path / "a.npz", x_test=x, y_test=y)
    if found is None:
        for read in (
            lambda: load_dataset("npz", path=tmp_path / "a.npz"),
            lambda: as_image_data((x, y)),
        ):
            with pytest.raises(ValueError, match=r"channels are at one end, got .*layout="):
                read()
        return
    file = load_dataset("npz", path=tmp_path / "a.npz", layout=layout).test
    array = as_image_data((x, y), layout=layout)
    assert file.images.shape[1:] == array.images.shape[1:] == found
    assert torch.equal(file.images, array.images)
    assert file.subset([0, 1]).images.shape[1:] == found
    with pytest.raises(
        ValueError, match="expected layout channels_first or channels_last, got 'x'"
    ):
        load_dataset("npz", path=tmp_path / "a.npz", layout="x")


def test_an_npz_file_without_images_is_refused(tmp_path):
    np.savez(
        tmp_path / "none.npz", x_test=np.zeros((0, 8, 8), np.uint8), y_test=np.zeros(0, np.int64)
    )
    with pytest.raises(ValueError, match="expected at least one image in x_test"):
        load_dataset("npz", path=tmp_path / "none.npz")


def test_a_single_array_is_called_what_it_is(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"got .*images\.npy, an \.npy file of one array; .*savez"):
        load_dataset("npz", path=tmp_path / "images.npy")
