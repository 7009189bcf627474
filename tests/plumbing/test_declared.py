"""Fields hold the plain numbers and switches that they are annotated as."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.plumbing.declared import settle_fields


@dataclass(frozen=True)
class Options:
    size: int = 1
    weight: float = 1.0
    limit: float | None = None
    on: bool | None = None
    name: str = "a"
    late: float = None  # type: ignore[assignment]  # a sloppy default

    def __post_init__(self) -> None:
        settle_fields(self)


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({"size": np.int64(3)}, 3),
        ({"size": torch.tensor(3)}, 3),
        ({"weight": np.float64(0.5)}, 0.5),
        ({"weight": np.float32(0.5)}, 0.5),
        ({"weight": Fraction(1, 2)}, 0.5),
        ({"weight": 2}, 2),
        ({"weight": np.int64(2)}, 2),
        ({"limit": np.float64(0.5)}, 0.5),
        ({"limit": None}, None),
        ({"on": np.True_}, True),
        ({"on": False}, False),
        ({"name": "b"}, "b"),
        ({"late": None}, None),
    ],
)
def test_numbers_become_plain_ones(given: dict[str, Any], settled: object) -> None:
    (name,) = given
    found = getattr(Options(**given), name)
    assert found == settled
    assert type(found) is type(settled)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 2.0}, "expected size to be an integer, got 2.0"),
        ({"size": True}, "expected size to be an integer, got True"),
        ({"size": None}, "expected size to be an integer, got None"),
        ({"weight": "1"}, "expected weight to be a number, got '1'"),
        ({"weight": True}, "expected weight to be a number, got True"),
        ({"weight": np.ones(1)}, "expected weight to be a number, got array"),
        ({"limit": False}, "expected limit to be a number, got False"),
        ({"on": "no"}, "expected on to be true or false, got 'no'"),
        ({"on": 1}, "expected on to be true or false, got 1"),
    ],
)
def test_other_kinds_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Options(**given)


def test_annotations_that_are_no_text_are_understood() -> None:
    kind = dataclass(frozen=True)(
        type("Mine", (), {"__annotations__": {"weight": float, "limit": float | None}})
    )
    mine = kind(weight=np.float64(0.5), limit=np.float64(1.5))
    settle_fields(mine)
    assert (type(mine.weight), type(mine.limit)) == (float, float)
