"""Votes as JSON values: the same votes come back, in the shorter of two forms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsmooth.records.votes import MOST_LISTED, compact, expanded, stacked


@given(
    st.integers(1, 200),
    st.dictionaries(st.integers(0, 199), st.integers(0, 10**9), max_size=80),
)
def test_the_same_votes_come_back(size: int, votes: dict[int, int]) -> None:
    counts = np.zeros(size, dtype=np.int64)
    for k, count in votes.items():
        counts[k % size] = count
    found = expanded(json.loads(json.dumps(compact(counts))))
    assert found.dtype == np.int64
    assert np.array_equal(found, counts)


def test_few_classes_are_listed_and_many_only_where_they_have_votes() -> None:
    assert compact(np.array([0, 0, 7])) == [0, 0, 7]
    assert compact(np.zeros(MOST_LISTED, dtype=np.int64)) == [0] * MOST_LISTED
    one = np.bincount([3, 3], minlength=1000)
    assert compact(one) == {"classes": 1000, "votes": {"3": 2}}
    assert compact(np.ones(1000, dtype=np.int64)) == [1] * 1000, "a list is shorter"


def test_both_forms_are_stacked() -> None:
    one, all_of_them = np.bincount([3, 3], minlength=40), np.arange(40)
    found = stacked([compact(one), compact(all_of_them), one.tolist()])
    assert np.array_equal(found, np.stack([one, all_of_them, one]))
    assert np.array_equal(stacked([all_of_them.tolist()]), all_of_them[None])
    assert expanded([]).shape == (0,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([{"classes": 40, "votes": {"3": 1}}, {"classes": 41, "votes": {"3": 1}}], "for 41"),
        ([{"classes": 40, "votes": {"3": 1}}, [1, 2]], "for 40 classes, got some for 2"),
        ([{"classes": 40, "votes": {"40": 1}}], r"classes 0\.\.39"),
        ([{"classes": 40, "votes": {"-1": 1}}], r"classes 0\.\.39"),
        ([{"classes": 40, "votes": {"3": 1.5}}], "whole votes"),
        ([{"classes": 40, "votes": {"three": 1}}], "three"),
        ([{"classes": "40", "votes": {}}], "number of classes"),
        ([{"classes": 0, "votes": {}}], "number of classes"),
        ([{"classes": 40}], "the number of classes and their votes"),
        ([{"classes": 40, "votes": [1]}], "the number of classes and their votes"),
        ([{"classes": 2, "votes": {"1": 1}}, [0.7, 1]], "a list of whole votes"),
        ([{"classes": 2, "votes": {"1": 1}}, [True, 1]], "a list of whole votes"),
    ],
)
def test_what_is_no_votes_is_refused(values: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stacked(values)


@pytest.mark.parametrize("value", [None, "12", [0.7, 1], [True], [[1]], [None], 7])
def test_votes_of_one_image_are_whole(value: Any) -> None:
    with pytest.raises(ValueError, match="a list of whole votes"):
        expanded(value)
