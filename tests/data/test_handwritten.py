"""The embedded digits: their pixels against scikit-learn's, their splits, their order."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from rsmooth.data import load_dataset
from tests.data.helpers import check_splits


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
    """Fixed values: index and fingerprint of a certificate mean the same image in every version."""
    splits = load_dataset("digits")
    assert splits.validation.index[:5].tolist() == [2, 4, 7, 16, 19]
    assert splits.test.fingerprint() == "33083429fece4e40"
