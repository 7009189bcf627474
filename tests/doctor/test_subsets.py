"""Which images a log is about."""

from __future__ import annotations

import numpy as np
import pytest

from rsmooth.doctor.subsets import classes, doubled, subset, unfinished


@pytest.mark.parametrize(
    ("idx", "words", "missing"),
    [
        (np.arange(500) * 20, "every 20th image from 0 to 9980", []),
        (np.delete(np.arange(10) * 20, 3), "every 20th image from 0 to 180", [60]),
        (np.arange(100), "the first 100 images", []),
        (np.delete(np.arange(100), [7, 8]), "the first 100 images", [7, 8]),
        (np.arange(1297, 1400), "images 1297 to 1399", []),
        (np.arange(5, 50, 2), "every 2nd image from 5 to 49", []),
        (np.array([1, 5, 6, 20, 90]), "5 positions from 1 to 90 without a pattern", []),
        (np.array([7]), "image 7 alone", []),
        (np.array([3, 2, 1, 0, 1]), "the first 4 images", []),
    ],
)
def test_patterns(idx: np.ndarray, words: str, missing: list[int]) -> None:
    assert subset(idx) == (words, missing)


def test_a_known_subset_that_stops_short() -> None:
    assert unfinished(np.arange(0, 42_700, 100)) == (
        "every 100th of ImageNet's validation images are 500, and these are 427"
    )
    assert unfinished(np.arange(0, 10_000, 20)) is None
    assert unfinished(np.arange(100)) is None


def test_rows_that_are_there_twice() -> None:
    assert doubled(np.array([1, 2, 2, 3, 3, 3])) == [2, 3]


def test_classes_in_words() -> None:
    assert classes(np.array([7, 7])) == "1 class (7)"
    assert classes(np.arange(3)) == "3 classes (0, 1, 2)"
    assert classes(np.arange(0, 1000, 2)) == "500 classes from 0 to 998"
