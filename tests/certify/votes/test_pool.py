"""Votes are those of their copies, however they are cut into passes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.certify.nets import images
from tests.certify.votes.pools import make_pool, one


def test_votes_of_a_slice_are_those_of_its_copies_wherever_it_stands() -> None:
    pool, x = make_pool(), images(3)
    whole = pool.count([one(x[0], 7, 0, 100)])
    pieces = pool.count(
        [
            one(x[1], 1, 0, 13),
            one(x[0], 7, 0, 41),
            one(x[2], 2, 5, 6),
            one(x[0], 7, 41, 100),
            one(x[0], 7, 0, 10, "select"),
        ]
    )
    assert np.array_equal(pieces[1] + pieces[3], whole[0])
    assert pieces.sum(1).tolist() == [13, 41, 1, 59, 10]
    assert np.array_equal(make_pool(batch=11).count([one(x[0], 7, 0, 100)]), whole)


@pytest.mark.parametrize("piece", [(-1, 0, 5), (0, 2**32 - 2, 2**32 + 1)])
def test_counters_are_checked_before_they_go_to_a_device(
    piece: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool()
    monkeypatch.setattr(pool.source, "points", None)  # nothing is drawn
    with pytest.raises(ValueError, match=r"image_ids >= 0 and sample_ids within 0..2\^32-1"):
        pool.count([one(images(1)[0], 3, 0, 5), one(images(1)[0], *piece)])


def test_the_last_sample_of_a_seed_can_be_drawn() -> None:
    """The rest of its pass is filled up, where no further counter is."""
    x, last = images(1)[0], 2**32
    whole = make_pool(batch=1).count([one(x, 7, last - 3, last)])
    assert np.array_equal(make_pool(batch=16).count([one(x, 7, last - 3, last)]), whole)
