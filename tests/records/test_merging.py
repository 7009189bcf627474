"""Shards are joined without repeats, and refused where they contradict each other."""

from pathlib import Path

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log
from rsmooth.records.merging import cut, merge
from tests.records.by_hand import HEADER, assert_same_table, image, some_log, write_journal


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


def test_shards_that_do_not_fit_are_refused(tmp_path):
    write_journal(tmp_path / "certificates.rank0.jsonl", [image(0), image(1)])
    write_journal(tmp_path / "certificates.rank1.jsonl", [image(1, counts=[6, 4, 0, 90])])
    with pytest.raises(RecordError, match="counts differs between shards at idx 1"):
        read_log(tmp_path)
    other = tmp_path / "other"
    write_journal(other / "certificates.rank0.jsonl", [image(0)])
    write_journal(other / "certificates.rank1.jsonl", [image(1)], {**HEADER, "sigma": 0.5})
    with pytest.raises(RecordError, match=r"differ in sigma \(0.25, here 0.5\)"):
        read_log(other)
    with pytest.raises(FileNotFoundError, match=r"expected certificates\.jsonl"):
        read_log(Path(__file__).parent)


def named(pixels, **change):
    return some_log(provenance={"pixels": pixels}, **change)


def test_parts_of_other_images_are_one_run():
    """What a part says of its own images is no part of the configuration."""
    first, second = named("0" * 15 + "1", idx=[0, 3]), named("f" * 16, idx=[1, 2])
    assert merge([first, second]).provenance == {"pixels": "0" * 16}
    assert merge([first, first]).provenance == first.provenance
    assert merge([first, some_log(idx=[1, 2], provenance={})]).provenance == {}
    assert merge([merge([first, second]), second]).provenance == {}  # not known
    assert cut(first, first.idx[:1]).provenance == {}


def test_other_images_at_the_same_idx_are_refused():
    with pytest.raises(RecordError, match="got shards of other images"):
        merge([named("0" * 16, idx=[0, 3]), named("f" * 16, idx=[0, 3])])
    with pytest.raises(RecordError, match="or of another index"):
        merge([some_log(provenance={"index": each}) for each in ("0" * 16, "f" * 16)])
