"""Shards joined; what read_log makes of them: test_files.py."""

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.merging import merge
from tests.records.test_files import assert_same_table, some_log


def test_merging_is_idempotent():
    shards = [some_log(idx=[0, 3]), some_log(idx=[1, 2])]
    whole = merge(shards)
    assert whole.idx.tolist() == [0, 1, 2, 3]
    assert_same_table(merge([whole, *shards, whole]), whole)
    with pytest.raises(RecordError, match="at least one log"):
        merge([])


def test_shards_that_state_other_norms_are_of_different_configurations():
    with pytest.raises(RecordError, match=r"they differ in .*norm \(absent, here .l1"):
        merge([some_log(), some_log(provenance={"norm": "l1"})])
