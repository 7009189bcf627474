"""Numbers are returned as floats or ints, or refused by name and with a remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.plumbing.numbers import (
    check_alpha,
    check_integer,
    check_radius,
    check_scale,
    check_seed,
    check_sigma,
    check_sizes,
    rounded_down,
    rounded_up,
)


def named(value: float) -> float:
    return check_scale(value, "half_width")


def or_zero(value: float) -> float:
    return check_sigma(value, allow_zero=True)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_sigma, 0.25),
        (check_sigma, 1e300),
        (or_zero, 0.0),
        (named, 0),
        (named, 0.5),
        (check_alpha, 1e-300),
        (check_alpha, 0.999),
        (check_radius, 0),
        (check_radius, 2.5),
    ],
)
def test_good_numbers_come_back_as_floats(check: Callable[[Any], float], value: float) -> None:
    for given in (value, np.float64(value), torch.tensor(value, dtype=torch.float64)):
        found = check(given)
        assert type(found) is float
        assert found == value


@pytest.mark.parametrize(
    ("check", "values", "message"),
    [
        (check_sigma, (0.0, -0.1), r"finite sigma > 0 in \[0,1\] pixel units, got .*e\.g\. as"),
        (or_zero, (-0.1,), "finite sigma > 0"),
        (named, (-0.1,), r"finite half_width > 0 in \[0,1\] pixel units"),
        (check_alpha, (0.0, 1.0, -0.1, 1.5), r"alpha in \(0, 1\), got .*customary"),
        (check_radius, (-1e-9,), "finite radius >= 0"),
    ],
)
def test_bad_numbers_are_refused(
    check: Callable[[Any], float], values: tuple[float, ...], message: str
) -> None:
    for value in (*values, float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ValueError, match=message):
            check(value)


@pytest.mark.parametrize("value", [0, -3, 2**70, np.int64(5), torch.tensor(7)])
def test_integers_stay_what_they_are(value: Any) -> None:
    found = check_integer(value, "seed")
    assert type(found) is int
    assert found == int(value)


@pytest.mark.parametrize("value", [0.5, 1.0, True, "1", None, np.float64(1)])
def test_a_seed_is_never_rounded(value: Any) -> None:
    with pytest.raises(ValueError, match=r"expected an integer seed, got .*; give it e\.g\. as 0"):
        check_integer(value, "seed")


def test_seeds_of_generators_have_64_bits() -> None:
    for seed in (0, -(2**63), 2**64 - 1, np.int64(5)):
        torch.Generator().manual_seed(check_seed(seed))
    for seed in (-(2**63) - 1, 2**64, 2**70):
        with pytest.raises(ValueError, match="expected a seed of 64 bits, got"):
            check_seed(seed)


def test_sizes_are_integers_from_one_on() -> None:
    check_sizes(width=1, num_classes=np.int64(10))
    for value, said in ((0, "expected width >= 1, got 0"), (2.5, "expected an integer width, got")):
        with pytest.raises(ValueError, match=said):
            check_sizes(num_classes=10, width=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [
        (0.20858, "0.2085", "0.2086"),
        (0.3, "0.3000", "0.3000"),  # as it is written, not as it is stored
        (0.32000000000000006, "0.3200", "0.3201"),
        (0.0, "0.0000", "0.0000"),
        (math.inf, "inf", "inf"),
        (math.nan, "nan", "nan"),
    ],
)
def test_what_is_proved_is_rounded_down_and_what_is_needed_up(
    value: float, down: str, up: str
) -> None:
    assert (rounded_down(value, 4), rounded_up(value, 4)) == (down, up)


def test_shares_in_percent_are_rounded_as_they_are_written() -> None:
    for k in range(101):
        assert rounded_down(k / 100, 1, times=100) == f"{k}.0"
    assert rounded_down(0.65667, 1, times=100) == "65.6"
