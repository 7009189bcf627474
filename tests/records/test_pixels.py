"""Images in memory are named by their pixels and positions, whatever parts they come in."""

import numpy as np

from rsmooth.records.pixels import fingerprint, joined, named

IDX, HASHES = np.array([0, 3, 4]), np.array([11, 12, 13])


def test_a_fingerprint_is_that_of_pixels_at_positions_in_any_order():
    named = fingerprint(IDX, HASHES)
    assert len(named) == 16
    assert named == fingerprint(IDX[::-1], HASHES[::-1])
    assert named != fingerprint(IDX[::-1], HASHES)
    assert named != fingerprint(IDX, HASHES + 1)


def test_parts_are_named_together_as_the_whole():
    parts = [{"pixels": fingerprint(IDX[part], HASHES[part])} for part in ([2], [0, 1])]
    assert joined(parts) == {"pixels": fingerprint(IDX, HASHES)}
    assert joined([*parts, {}]) == {}
    assert joined([{**part, "index": "1"} for part in parts])["index"] == "0" * 15 + "2"
    assert "index" not in joined([parts[0], {**parts[1], "index": "1"}])


def test_what_chose_the_noise_is_said():
    assert named(IDX, HASHES, None) == {"pixels": fingerprint(IDX, HASHES), "keyed_by": "pixels"}
    assert named(IDX, HASHES, IDX)["keyed_by"] == "idx"
    assert named(IDX, HASHES, IDX + 1)["index"] == fingerprint(IDX, IDX + 1)
