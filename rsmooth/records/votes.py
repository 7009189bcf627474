"""Vote counts as JSON values: a list of them all, or only those that are not 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Votes for no more classes than this are written as a list, which people read at a glance.
MOST_LISTED = 32


def compact(votes: NDArray[np.int64]) -> list[int] | dict[str, Any]:
    """Votes (K,) as a JSON value: a list, or of many classes the votes by class.

        compact(np.array([1, 99]))                       # [1, 99]
        compact(np.bincount([3], minlength=1000))        # {"classes": 1000, "votes": {"3": 1}}

    The shorter form counts where K is above ``MOST_LISTED``.
    """
    voted = np.flatnonzero(votes)
    if len(votes) <= MOST_LISTED or 4 * len(voted) > len(votes):
        listed: list[int] = votes.tolist()
        return listed
    found = dict(zip(map(str, voted.tolist()), votes[voted].tolist(), strict=True))
    return {"classes": len(votes), "votes": found}


def expanded(value: Any) -> NDArray[np.int64]:
    """The votes (K,) that ``compact`` wrote; ValueError for anything else."""
    return np.asarray(stacked([value])[0]) if isinstance(value, dict) else _listed(value)


def stacked(values: Sequence[Any]) -> NDArray[np.int64]:
    """The votes (N, K) of N values that ``compact`` wrote.

        stacked([[1, 99], [50, 50]])

    ValueError for values of unequal K, and for what is no count of votes.
    """
    if not any(isinstance(value, dict) for value in values):
        return np.array(values)  # whatever it is, its reader checks the type and the shape
    sizes = [_classes(value) for value in values]
    found = np.zeros((len(values), sizes[0]), dtype=np.int64)
    for row, value, size in zip(found, values, sizes, strict=True):
        if size != len(row):
            raise ValueError(f"expected votes for {len(row)} classes, got some for {size}")
        if isinstance(value, dict):
            votes = {int(k): count for k, count in value["votes"].items()}
            if not all(0 <= k < len(row) and type(count) is int for k, count in votes.items()):
                raise ValueError(
                    f"expected whole votes of classes 0..{len(row) - 1}, got {value['votes']!r}"
                )
            row[list(votes)] = list(votes.values())
        else:
            row[:] = _listed(value)
    return found


def _listed(value: Any) -> NDArray[np.int64]:
    if not isinstance(value, list) or not all(type(count) is int for count in value):
        raise ValueError(f"expected a list of whole votes, got {value!r}")
    return np.array(value, dtype=np.int64)


def _classes(value: Any) -> int:
    if not isinstance(value, dict):
        return len(value)
    if set(value) != {"classes", "votes"} or not isinstance(value["votes"], dict):
        raise ValueError(f"expected the number of classes and their votes, got {value!r}")
    size = value["classes"]
    if type(size) is not int or size < 1:
        raise ValueError(f"expected a number of classes, got {size!r}")
    return size
