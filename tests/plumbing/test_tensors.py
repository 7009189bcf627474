"""Tensors are accepted in silence, or refused with what was expected, what came, and a remedy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import rsmooth.data
from rsmooth.data import as_image_data
from rsmooth.plumbing.tensors import (
    are_probabilities,
    as_labels,
    channels_taken,
    check_channels_first,
    check_images,
    check_labels,
    check_tensor,
)


def test_only_tensors_are_tensors() -> None:
    check_tensor(torch.zeros(1), "x")
    for value in (np.zeros(1), [0.0], None):
        with pytest.raises(TypeError, match=r"expected points as a torch.Tensor, got .*as_tensor"):
            check_tensor(value, "points")


def test_images_of_a_data_set_are_taken_out_of_it() -> None:
    """What the message offers, done, is a tensor of images."""
    pairs = TensorDataset(torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]))
    converted = as_image_data(pairs)
    for value, source in (
        (pairs, "as_image_data(data)"),
        (DataLoader(pairs), "as_image_data(data.dataset)"),
        (converted, "give rsmooth.data.to_unit(data.images)"),
    ):
        with pytest.raises(TypeError, match=re.escape(source)) as error:
            check_tensor(value, "images")
        remedy = str(error.value).split("give ")[1].split(", or ")[0]
        names: dict[str, Any] = {"data": value, "rsmooth": rsmooth}
        first, _, last = remedy.rpartition(", then ")
        exec(first, names)
        assert eval(last, names).shape == (2, 1, 4, 4)


@pytest.mark.parametrize(
    "shape", [(2, 3, 8, 8), (2, 1, 8, 1), (2, 8, 4, 3), (2, 9, 128, 1), (5, 5, 3), (2, 5, 5, 5)]
)
def test_channels_that_may_be_first_pass(shape: tuple[int, ...]) -> None:
    check_channels_first(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 5, 5, 1), (2, 6, 9, 3)])
def test_channels_last_are_refused(shape: tuple[int, ...]) -> None:
    check_channels_first(torch.zeros(shape), shape[1])
    check_images(torch.zeros(shape), channels=shape[1])
    with pytest.raises(ValueError, match=r"look like \(B, H, W, C\); use x.permute\(0, 3, 1, 2\)"):
        check_channels_first(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"look like \(B, H, W, C\)"):
        check_images(torch.zeros(shape))


def test_good_images_pass() -> None:
    for dtype in (torch.float16, torch.float32, torch.float64):
        check_images(torch.tensor([0.0, 1.0], dtype=dtype).view(2, 1, 1, 1))
    check_images(torch.zeros(0, 3, 4, 4))
    check_images(torch.full((1, 1, 1, 1), -3.0), bounds=(-4.0, 4.0))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 4, 4), r"got torch.float32 \(3, 4, 4\); add the batch dimension: x.uns"),
        (torch.zeros(4, 4), "give four axes"),
        (
            torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
            r"\(1, 3, 4, 4\); divide uint8 images by 255$",
        ),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "by 255 and add the batch dimension"),
        (torch.full((1, 1, 1, 1), 1.001), r"in \[0, 1\], got values from 1\.001 to 1\.001"),
        (torch.full((1, 1, 1, 1), -0.001), "put the normalisation into the model"),
        (torch.full((1, 1, 1, 1), 255.0), "from 255 to 255; divide them by 255$"),
        (torch.full((1, 1, 1, 1), torch.nan), "got values from nan to nan"),
        (torch.full((1, 1, 1, 1), torch.inf), "got values from inf to inf"),
    ],
)
def test_bad_images_are_refused(x: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_images(x)


def test_good_labels_pass() -> None:
    for dtype in (torch.int64, torch.int32, torch.uint8):
        check_labels(torch.tensor([0, 9], dtype=dtype), 2, 10)
    check_labels(torch.zeros(0, dtype=torch.int64), 0, 10)


@pytest.mark.parametrize(
    "y",
    [
        [3, 9],
        (3, 9),
        range(3, 10, 6),
        [np.int32(3), torch.tensor(9)],
        np.array([3, 9], np.uint8),
        np.array([3, 9], ">i2"),
        np.array([3, 0, 9])[::2],
        torch.tensor([3, 9], dtype=torch.int16),
        [[3], [9]],
        torch.tensor([[3], [9]]),
    ],
    ids=str,
)
def test_labels_of_every_kind_are_the_same_integers(y: Any) -> None:
    for found in (as_labels(y), check_labels(y, 2, 10)):
        assert found.dtype == torch.int64
        assert found.tolist() == [3, 9]
    assert check_labels([], 0, 10).tolist() == as_labels(()).tolist() == []


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (torch.tensor([0]), ValueError, "expected 2 integer labels .*, got 1; check that"),
        (torch.tensor([0.0, 1.0]), ValueError, "got torch.float32; .*torch.as_tensor"),
        (torch.tensor([True, False]), ValueError, "got torch.bool"),
        ([0.0, 1.0], ValueError, "got torch.float64"),
        ([True, 1], ValueError, "got torch.bool"),
        ([np.True_, False], ValueError, "got torch.bool"),
        (np.array([1j, 0]), ValueError, "got torch.complex128"),
        (["a", "b"], ValueError, "got <U1; number them from 0"),
        ("01", ValueError, "got <U2; number them from 0"),
        ([[0], [1, 2]], ValueError, "got object; number them from 0"),
        (None, ValueError, "got object; number them from 0"),
        (7, ValueError, r"expected labels \(N,\) or \(N, 1\), got \(\)"),
        (np.eye(2, dtype=int), ValueError, r"got \(2, 2\); one-hot labels need argmax"),
        (TensorDataset(torch.zeros(2)), TypeError, r"expected labels \(B,\) as a torch.Tensor"),
        (torch.tensor([0, 10]), ValueError, r"within 0\.\.9, got 0\.\.10; check num_classes"),
        (torch.tensor([-1, 3]), ValueError, r"within 0\.\.9, got -1\.\.3"),
    ],
)
def test_bad_labels_are_refused(y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_labels(y, 2, 10)


def test_the_first_convolution_says_how_many_channels_are_taken() -> None:
    net = torch.nn.Sequential(
        torch.nn.Identity(), torch.nn.Conv2d(9, 2, 1), torch.nn.Conv2d(2, 4, 1)
    )
    assert channels_taken(net) == 9
    assert channels_taken(torch.nn.Flatten()) is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_probabilities_are_told_from_logits_in_any_precision(dtype: torch.dtype) -> None:
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert are_probabilities(logits.softmax(dim=1))
    assert are_probabilities(torch.eye(10, dtype=dtype))
    for others in (logits, logits.log_softmax(1), logits.sigmoid(), 0 * logits):
        assert not are_probabilities(others)
    one_row_off = logits.softmax(dim=1)
    one_row_off[3] *= 1.05
    assert not are_probabilities(one_row_off)
    assert not are_probabilities(logits.softmax(dim=1) * float("nan"))
