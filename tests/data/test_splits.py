"""Splits: the validation images carved from the training images, and the registered names."""

from __future__ import annotations

import re

import pytest
import torch
from torch.utils.data import TensorDataset

from rsmooth.config.images import load_splits
from rsmooth.data import DataSplits, as_image_data, load_dataset
from rsmooth.registry import DATASETS
from tests.data.helpers import check_splits


def test_the_list_is_complete():
    own = [
        name for name in DATASETS.names() if DATASETS.get(name).__module__.startswith("rsmooth.")
    ]
    assert own == [
        *("cifar10", "cifar100", "digits", "fashion-mnist", "folder", "imagenet", "mnist", "npz"),
        *("stl10", "svhn", "tiny-imagenet"),
    ]


PAIR = (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4))
DATA = as_image_data(PAIR, num_classes=10)


@pytest.mark.parametrize(
    ("splits", "error", "message"),
    [
        (
            {"train": PAIR},
            TypeError,
            r"expected train as ImageData, FolderData or None, got tuple; .*split='train'\)",
        ),
        ({"test": TensorDataset(*PAIR)}, TypeError, "expected test as .*, got TensorDataset; make"),
        ({"validation": PAIR[0]}, TypeError, "expected validation as .*, got Tensor; make it"),
        (
            {"test": as_image_data(PAIR)},
            ValueError,
            "expected test of num_classes=10, got ImageDat",
        ),
        (
            {"train": DATA, "image_shape": (8, 8, 1)},
            ValueError,
            r"expected train of images \(8, 8, 1\), as image_shape says, got \(1, 8, 8\)",
        ),
    ],
)
def test_splits_that_are_none_are_refused(splits, error, message):
    given = {"train": None, "validation": None, "test": None, "num_classes": 10}
    with pytest.raises(error, match=message):
        DataSplits(**{**given, "image_shape": (1, 8, 8), **splits})


@pytest.mark.parametrize(
    "found", [PAIR, DATA, {"train": DATA}, None, TensorDataset(*PAIR)], ids=lambda one: type(one)
)
def test_a_registered_function_that_returns_no_splits_is_named(found):
    DATASETS.register("test-none")(lambda: found)
    try:
        for load in (load_dataset, load_splits):
            with pytest.raises(
                TypeError,
                match=r"the data set 'test-none' to return rsmooth.data.DataSplits, got "
                rf"{type(found).__name__}; let its function return DataSplits\(train",
            ):
                load("test-none")
    finally:
        DATASETS._entries.pop("test-none")


def test_there_are_as_many_names_as_classes():
    with pytest.raises(ValueError, match="expected a name for each of 3 classes, got 2"):
        DataSplits(None, None, None, 3, (1, 8, 8), class_names=("a", "b"))


@pytest.mark.parametrize(
    ("validation", "count"), [(0, 0), (200, 200), (0.5, 648), (1, 1), (1296, 1296)]
)
def test_validation_is_a_count_or_a_fraction(validation, count):
    splits = load_dataset("digits", validation=validation)
    assert len(check_splits(splits, 1297)) == count
    assert (splits.validation is None) == (count == 0)
    assert len(splits.test) == 500


def test_validation_depends_on_seed_and_index_alone():
    held_out = [
        set(load_dataset("digits", validation=v, seed=s).validation.index.tolist())
        for v, s in ((100, 0), (200, 0), (100, 1))
    ]
    assert held_out[0] < held_out[1], "a larger validation split holds the smaller one"
    assert len(held_out[0] & held_out[2]) < 40  # 7.7 expected, hypergeometric: P(>= 40) < 1e-15


@pytest.mark.parametrize(
    "validation", [-1, -0.5, 1297, 5000, 1.5, 0.9999, float("nan"), float("inf")]
)
def test_validation_must_leave_training_images(validation):
    with pytest.raises(
        ValueError,
        match=re.escape(
            f"expected validation as a count below 1297 or a fraction below 1, got {validation}"
        ),
    ):
        load_dataset("digits", validation=validation)
