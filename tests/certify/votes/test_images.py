"""Images as the certifier stores them, and the ids of their noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.certify.votes.images import given_images, image_ids, stored_images
from tests.certify.nets import images


def test_every_form_of_an_8_bit_image_is_stored_alike() -> None:
    x = images(5)
    for given in (x, x.float() / 255, x.double() / 255, (x.float() / 255).requires_grad_()):
        stored = stored_images(given, "integer")
        assert stored.dtype == torch.uint8
        assert not stored.requires_grad
        assert torch.equal(stored, x)


def test_arrays_with_channels_last_are_turned() -> None:
    x = images(2, (3, 8, 8))
    for given in (x, x.permute(0, 2, 3, 1)):
        found, index = given_images(given.numpy(), 2)
        assert torch.equal(found, x)
        assert index is None
    tall = images(2, (5, 8, 3))  # a model that takes 5 channels says where they are
    assert torch.equal(given_images(tall.numpy(), 2, channels=5)[0], tall)
    assert given_images(tall, 2)[0] is tall
    for stored in (stored_images(tall, "float", 5), stored_images(tall.float() / 255, "float", 5)):
        assert torch.equal(stored, tall.float() / 255)


def test_images_with_labels_have_an_index_and_a_list_is_neither() -> None:
    x = images(3)
    found, index = given_images((x, torch.zeros(3, dtype=torch.int64)), 2)
    assert torch.equal(found, x)
    assert index is not None
    assert index.tolist() == [0, 1, 2]
    for other in (list(x), iter(x)):
        with pytest.raises(TypeError, match=r"expected images \(B, C, H, W\) as a torch.Tensor"):
            given_images(other, 2)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 8, 8)), r"got float64 \(3, 8, 8\); add an axis: x\[None\] for one image"),
        (np.zeros((1, 3, 8, 8), np.int64), r"uint8 or floats in \[0, 1\], got int64"),
        (np.zeros((1, 5, 8, 7)), r"say it with .*, or a tensor \(B, C, H, W\) in place"),
        (np.zeros((1, 3, 8, 3)), r"say it with .*, or a tensor \(B, C, H, W\) in place"),
    ],
)
def test_other_arrays_are_refused(array: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        given_images(array, 2)


def test_float_arithmetic_stores_float32() -> None:
    x = images(5)
    assert torch.equal(stored_images(x, "float"), x.float() / 255)
    off_grid = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    assert torch.equal(stored_images(off_grid, "float"), off_grid.float())


def test_values_between_the_levels_are_refused_with_their_distance() -> None:
    x = images(2).float() / 255
    x[1, 0, 2, 2] = 100.3 / 255
    with pytest.raises(ValueError, match=r"got values 0\.3 of a level away.*arithmetic='float'"):
        stored_images(x, "integer")


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (images(2)[0], ValueError, "add the batch dimension"),
        (images(2)[0] / 255, ValueError, "add the batch dimension"),
        (images(2, (3, 8, 8)).permute(0, 2, 3, 1), ValueError, "use x.permute"),
        (torch.full((1, 1, 4, 4), -0.1), ValueError, r"expected images in \[0, 1\]"),
        (np.zeros((1, 1, 4, 4)), TypeError, "torch.as_tensor"),
    ],
)
@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_what_is_no_image_is_refused(
    arithmetic: Any, x: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        stored_images(x, arithmetic)


def test_no_images_are_stored_too() -> None:
    assert stored_images(torch.zeros(0, 3, 2, 2), "integer").shape == (0, 3, 2, 2)
    assert image_ids(torch.zeros(0, 3, 2, 2, dtype=torch.uint8), None).shape == (0,)


def test_the_content_identifies_an_image() -> None:
    x = images(50)
    ids = image_ids(x, None)
    assert ids.dtype == torch.int64
    assert len(set(ids.tolist())) == 50
    assert int(ids.min()) >= 0
    assert int(ids.max()) > 2**61, "expected 63 bits of the hash"
    assert torch.equal(image_ids(x.flip(0), None), ids.flip(0))
    assert torch.equal(image_ids(x.repeat(1, 1, 1, 2)[..., :4], None), ids), "strides do not count"
    for other in (x.view(50, 4, 4, 1), x.float()):
        assert not set(image_ids(other, None).tolist()) & set(ids.tolist())


def test_an_index_is_taken_as_it_is() -> None:
    ids = image_ids(images(3), torch.tensor([7, 0, 7], dtype=torch.int16))
    assert ids.dtype == torch.int64
    assert ids.tolist() == [7, 0, 7]


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "uint64"])
def test_an_index_may_be_of_unsigned_numbers(kind: str) -> None:
    assert image_ids(images(3), np.array([7, 0, 200], dtype=kind)).tolist() == [7, 0, 200]


def test_an_index_may_be_of_any_byte_order_and_stride() -> None:
    for index in (np.arange(3)[::-1], np.array([2, 1, 0], dtype=">i4"), [2, 1, 0]):
        assert image_ids(images(3), index).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (np.array([0, 1, 2**63], dtype=np.uint64), ValueError),
        (torch.arange(2), ValueError),
        (torch.arange(3)[:, None], ValueError),
        (torch.arange(3.0), ValueError),
        (torch.tensor([0, -1, 2]), ValueError),
        (torch.tensor([True, False, True]), ValueError),
        (torch.tensor([0, 1j, 2]), ValueError),
        ([0.0, 1.0, 2.0], ValueError),
        ([0, 1], ValueError),
    ],
)
def test_a_bad_index_is_refused(index: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="index"):
        image_ids(images(3), index)
