"""The networks in a file, wherever they lie in it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth.doctor.entries import entries, optimizers, unwrapped

from .helpers import weights

W = weights()


def under(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: each for name, each in W.items()}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (W, ""),
        ({"state_dict": W, "epoch": 3}, "state_dict"),
        ({"net": W, "optimizer": {"state": {}, "param_groups": []}}, "net"),
        ({"state_dict": [W], "err": 0.5}, "state_dict.0"),
        ({"a": {"b": {"model": W}}}, "a.b.model"),
        ({"state_dict": under("module.")}, "state_dict"),
        ({"state_dict": under("1.module.")}, "state_dict"),
        ({"state_dict": under("_orig_mod.model.")}, "state_dict"),
    ],
)
def test_one_network(content: Any, place: str) -> None:
    [one] = entries(content)
    assert one.place == place
    assert one.network is not None
    assert one.network.name == "small-cnn"
    assert set(one.inner) == set(W)
    assert torch.equal(one.inner["11.weight"], W["11.weight"])


def test_an_averaged_copy_comes_second() -> None:
    found = entries({"state_dict_ema": W, "state_dict": W})
    assert [(each.place, each.average) for each in found] == [
        ("state_dict", False),
        ("state_dict_ema", True),
    ]


def test_teacher_and_student_in_one_state_dict() -> None:
    found = entries({"state_dict": {**under("teacher."), **under("student.")}})
    assert [each.place for each in found] == ["state_dict.student", "state_dict.teacher"]
    assert all(set(each.inner) == set(W) and not each.rest for each in found)


def test_constants_beside_the_network() -> None:
    constants = {"0.means": torch.tensor([0.5]), "0.sds": torch.tensor([0.25])}
    [one] = entries({"state_dict": {**constants, **under("1.")}})
    assert one.constants() == ((0.5,), (0.25,))
    assert set(one.inner) == set(W)


def test_a_network_of_others() -> None:
    [one] = entries({"odd.weight": torch.ones(2, 3)})
    assert one.network is None
    assert set(one.inner) == {"odd.weight"}


def test_no_network() -> None:
    state = torch.optim.SGD([torch.nn.Parameter(torch.ones(2, 2))], lr=0.1, momentum=0.9)
    state.param_groups[0]["params"][0].grad = torch.ones(2, 2)
    state.step()
    assert entries({"optimizer": state.state_dict()}) == []
    assert optimizers({"optimizer": state.state_dict()}) == ["optimizer"]
    assert optimizers(state.state_dict()) == ["the whole file"]
    assert optimizers([1]) == entries(3) == []


def test_wrappers_are_taken_away() -> None:
    assert unwrapped("_orig_mod.module.a.module.b") == "a.b"
