"""Functions that were set on a network call the copy in a copy of it; others stay as they are."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.models.rebinding import rebind
from rsmooth.models.state import copied

named: Any = None  # as in a script, where the names of functions are globals


def closure(net: nn.Module) -> None:
    old = net.forward
    net.forward = lambda x: old(x) / 2


def twice(net: nn.Module) -> None:
    closure(net)
    closure(net)


def global_name(net: nn.Module) -> None:
    global named
    named = net.forward
    net.forward = lambda x: named(x) / 2


def name_within(net: nn.Module) -> None:
    global named
    named = net.forward
    net.forward = lambda x: (lambda: named(x) / 2)()


def default(net: nn.Module) -> None:
    net.forward = lambda x, old=net.forward: old(x) / 2


def keyword(net: nn.Module) -> None:
    net.forward = lambda x, *, old=net.forward: old(x) / 2


def method(net: nn.Module) -> None:
    old = net.forward
    net.forward = types.MethodType(lambda self, x: old(x) + self[0].bias, net)


def hook(net: nn.Module) -> None:
    last = net[0]
    net.register_forward_hook(lambda module, given, out: out + last.bias)


def weight(net: nn.Module) -> None:
    bias = net[0].bias
    net[1].register_forward_pre_hook(lambda module, given: given[0] + bias)


def itself(net: nn.Module) -> None:
    old = net.forward

    def forward(x: Tensor, again: bool = True) -> Tensor:
        return forward(x, False) / 2 if again else old(x)

    net.forward = forward


CHANGES = [closure, twice, global_name, name_within, default, keyword, method, hook, weight, itself]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_copy_answers_with_its_own_weights(change: Callable[[nn.Module], None]) -> None:
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), torch.rand(3, 2)
    change(net)
    other = copied(net.train()).eval()
    again = copied(other)
    assert torch.equal(other(x), copied(net).eval()(x))  # not in the mode of the network
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not other(x).any()
    assert again(x).any()
    assert net.eval()(x).any()


def test_what_refers_to_nothing_of_the_network_stays() -> None:
    teacher = nn.Linear(2, 2)
    net = nn.Linear(2, 2)
    net.forward = lambda x: teacher(x)
    net.parts = {"scale": functools.partial(max, 2), "last": None}
    memo: dict[int, Any] = {}
    other = copy.deepcopy(net, memo)
    rebind(other, memo)
    assert other.forward is net.forward
    assert other.parts.keys() == net.parts.keys()
