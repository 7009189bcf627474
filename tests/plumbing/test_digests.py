"""Digests of values of any kind."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.plumbing.digests import update_digest, without_addresses


def digest(value: Any) -> str:
    found = hashlib.sha256()
    update_digest(found, value)
    return found.hexdigest()


def test_addresses_are_left_out() -> None:
    assert without_addresses("<Net at 0x7f1f8a>, <Net at 0x10>") == "<Net at >, <Net at >"
    assert digest(object()) == digest(object())


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (torch.zeros(2), torch.zeros(3)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (np.zeros(5000), np.eye(5000)[2500]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ([1, 23], [12, 3]),
        (1, 1.0),
        (None, "None"),
    ],
)
def test_other_values_have_another_digest(value: Any, other: Any) -> None:
    assert digest(value) != digest(other)


def test_the_digest_of_a_tensor_is_that_of_its_numbers() -> None:
    square = torch.arange(4.0).view(2, 2)
    assert digest(square.T) == digest(square.T.contiguous()) != digest(square)
    assert digest(torch.tensor(True)) == digest(torch.tensor(True)) != digest(torch.tensor(False))


@pytest.mark.parametrize("count", [1, 2])
def test_the_digest_of_a_view_is_that_of_its_numbers(count: int) -> None:
    turned = torch.tensor([1 + 2j, 3 - 4j])[:count].conj().imag
    assert turned.is_neg()
    assert digest(turned) == digest(torch.tensor([-2.0, 4.0][:count]))
    assert digest(turned[0]) == digest(torch.tensor(-2.0))
    assert digest(torch.arange(6.0)[: 3 * count : 3]) == digest(torch.tensor([0.0, 3.0][:count]))
