"""What names the images of a record in memory, whose data set is not known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIXELS = "pixels"  # the key of a record's provenance


def fingerprint(idx: NDArray[Any], hashes: NDArray[np.int64]) -> str:
    """Sixteen hexadecimal digits that name images at their positions, in any order.

        fingerprint(np.arange(2), np.array([11, 12]))

    idx: positions (N,). hashes: of the pixels of each image, (N,).
    """
    return _total(_one(*each) for each in zip(idx.tolist(), hashes.tolist(), strict=True))


def joined(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The entry of the provenance of several records of distinct images; none if one has none.

    joined([first.provenance, second.provenance])
    """
    named = [record.get(PIXELS) for record in records]
    return {} if None in named else {PIXELS: _total(int(str(each), 16) for each in named)}


def _one(idx: int, hashed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{idx} {hashed}".encode()).digest()[:8], "big")


def _total(parts: Iterable[int]) -> str:
    """A sum, so that the images of a record may come from several, in any order."""
    return f"{sum(parts) % 2**64:016x}"
