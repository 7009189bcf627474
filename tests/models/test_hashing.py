"""The hash of a network: its layers as printed and its numbers, whatever the release of torch."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rsmooth.models.hashing import _hash, base_hash, is_base_hash
from tests.plumbing.test_forward_code import Lazy


def net(width: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, width, 1), nn.BatchNorm2d(width), nn.Flatten())


def test_a_hash_is_that_of_numbers_and_layers() -> None:
    assert base_hash(net()) == base_hash(net())
    assert base_hash(net()) != base_hash(net(3))
    changed = net()
    with torch.no_grad():
        changed[1].running_mean[0] = 1e-6
    assert base_hash(changed) != base_hash(net())
    assert base_hash(nn.Sequential(*net(), nn.ReLU())) != base_hash(net())


def test_layers_print_otherwise_in_other_releases_of_torch(monkeypatch) -> None:
    hashed = base_hash(net())
    real = nn.BatchNorm2d.extra_repr

    def extra_repr(layer: nn.BatchNorm2d) -> str:
        printed = real(layer)
        without = re.sub(r", bias=(True|False)", "", printed)
        return (
            without
            if without != printed
            else printed.replace("affine=True", "affine=True, bias=True")
        )

    monkeypatch.setattr(nn.BatchNorm2d, "extra_repr", extra_repr)
    assert base_hash(net()) != hashed
    assert is_base_hash(hashed, net())
    assert not is_base_hash(hashed, net(3))
    assert not is_base_hash(None, net())


class Headed(nn.Sequential):
    """A network that saves its last layer alone."""

    def state_dict(self, *given: Any, **named: Any) -> Any:
        return {name: value for name, value in super().state_dict().items() if name[0] == "1"}


def test_weights_that_the_network_does_not_save_count() -> None:
    torch.manual_seed(0)
    one = Headed(nn.Linear(2, 2), nn.Linear(2, 2))
    other = copy.deepcopy(one)
    assert base_hash(one) == base_hash(other)
    with torch.no_grad():
        other[0].weight[0] = 1.0
    assert base_hash(one) != base_hash(other)


class Scaled(nn.Linear):
    """A layer with numbers that are no tensor of its own."""

    extra: Any = None

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"scale": 1.0}, {"scale": 2.0}),
        ([torch.zeros(2)], [torch.ones(2)]),
        (np.zeros(5000), np.eye(5000)[2500]),
        (None, b"state"),
    ],
)
def test_further_state_of_layers_counts(first: Any, second: Any) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(Scaled(2, 2))
    net[0].extra = first
    hashed = base_hash(net)
    assert hashed == base_hash(copy.deepcopy(net))
    net[0].extra = second
    assert hashed != base_hash(net)


def test_options_that_are_not_printed_count(monkeypatch) -> None:
    def pooled(inside: bool) -> nn.Module:
        return nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=inside), nn.Flatten())

    assert repr(pooled(True)) == repr(pooled(False))
    assert base_hash(pooled(True)) != base_hash(pooled(False))
    assert not is_base_hash(base_hash(pooled(True)), pooled(False))
    with monkeypatch.context() as earlier:
        earlier.setattr("rsmooth.models.hashing._options", lambda base: b"")
        before = base_hash(pooled(False))
    assert before != base_hash(pooled(False))
    assert is_base_hash(before, pooled(False))  # a record of an earlier version


def test_hashes_of_earlier_versions_are_known() -> None:
    """The number is what they gave, which hashed printed options alone."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        net[1].bias.zero_()
    assert is_base_hash("b05e9b094b79b5b4", net)
    assert base_hash(net) != "b05e9b094b79b5b4"
    with torch.no_grad():
        net[1].bias.add_(1)
    assert not is_base_hash("b05e9b094b79b5b4", net)


def test_hashes_of_earlier_versions_cover_buffers_that_a_pass_makes() -> None:
    net = Lazy()
    for _ in range(2):
        everything = {**dict(net.named_buffers()), **net.state_dict()}
        assert is_base_hash(_hash(repr(net), everything, b""), net)
        net(torch.rand(3, 3))
    assert not is_base_hash(_hash(repr(net), {**everything, "scale": torch.ones(1)}, b""), net)


class Compiled(nn.Module):
    """As torch.compile wraps a network; that itself takes ten seconds to import."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self._orig_mod = inner


def test_what_wraps_a_network_leaves_its_hash() -> None:
    hashed = base_hash(net())
    wrapped = nn.DataParallel(net())
    assert base_hash(wrapped) == hashed
    assert base_hash(Compiled(nn.DataParallel(Compiled(net())))) == hashed
    assert base_hash(nn.DataParallel(net(3))) != hashed
    earlier = _hash(repr(wrapped), wrapped.state_dict(), b"")
    assert is_base_hash(earlier, wrapped)
    assert is_base_hash(hashed, wrapped)
    assert not is_base_hash(base_hash(net(3)), wrapped)
