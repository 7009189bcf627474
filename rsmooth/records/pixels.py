"""What names the images of a record in memory, whose data set is not known, and their noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Keys of a record's provenance.
PIXELS = "pixels"
INDEX = "index"
KEYED_BY = "keyed_by"
FINGERPRINTS = (PIXELS, INDEX)


def named(
    idx: NDArray[Any], hashes: NDArray[np.int64], index: NDArray[np.int64] | None
) -> dict[str, str]:
    """What the provenance says of images, and of what chose the noise of each.

        named(np.arange(2), np.array([11, 12]), None)["keyed_by"]        # "pixels"

    idx, hashes: as in ``fingerprint``. index: (N,), what chose it in place of the pixels. Where
    that is no idx, its fingerprint is recorded, so that an index can be compared.
    """
    said = {PIXELS: fingerprint(idx, hashes)}
    if index is None:
        return {**said, KEYED_BY: "pixels"}
    if np.array_equal(idx, index):
        return {**said, KEYED_BY: "idx"}
    return {**said, KEYED_BY: "index", INDEX: fingerprint(idx, index)}


def fingerprint(idx: NDArray[Any], hashes: NDArray[np.int64]) -> str:
    """Sixteen hexadecimal digits that name images at their positions, in any order.

        fingerprint(np.arange(2), np.array([11, 12]))

    idx: positions (N,). hashes: of the pixels of each image, (N,).
    """
    return _total(_one(*each) for each in zip(idx.tolist(), hashes.tolist(), strict=True))


def joined(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The fingerprints of several records of distinct images; without what one of them lacks.

    joined([first.provenance, second.provenance])
    """
    said = list(records)
    return {
        key: _total(int(str(record[key]), 16) for record in said)
        for key in FINGERPRINTS
        if all(key in record for record in said)
    }


def _one(idx: int, hashed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{idx} {hashed}".encode()).digest()[:8], "big")


def _total(parts: Iterable[int]) -> str:
    """A sum, so that the images of a record may come from several, in any order."""
    return f"{sum(parts) % 2**64:016x}"
