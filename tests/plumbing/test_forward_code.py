"""Attributes that code sets are no options: the hash of a network stays after a pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from rsmooth.models.hashing import base_hash
from rsmooth.plumbing.forward_code import uses_of
from rsmooth.plumbing.layer_options import digest_of_options, unprinted_options


class Own(nn.Module):
    """A layer of a user, with an option that always counts."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.memory = 1.0, None

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift + len(str(self.memory))


class Once(Own):
    @cached_property
    def table(self) -> Tensor:
        return torch.arange(3.0) + self.shift

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table.sum()


class BySetter(Own):
    @property
    def scale(self) -> Any:
        return self.memory

    @scale.setter
    def scale(self, value: float) -> None:
        self.memory = value

    def forward(self, x: Tensor) -> Tensor:
        self.scale = float(x.sum())
        return x * self.scale + self.shift


class ByName(Own):
    def forward(self, x: Tensor) -> Tensor:
        if self.memory is None:
            setattr(self, "memory", torch.ones(len(x)))  # noqa: B010
        return x * self.memory + self.shift


class ByDict(Own):
    def forward(self, x: Tensor) -> Tensor:
        self.__dict__["memory"] = torch.ones(len(x))
        return x * self.memory + self.shift


class Counting(Own):
    def __init__(self) -> None:
        super().__init__()
        self.calls, self.seen, self.both = torch.zeros(()), np.zeros(3), ([0], 1)

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        self.seen.fill(2.0)
        self.both[0].append(1)
        return x + self.shift


class Storing(Own):
    def __init__(self) -> None:
        super().__init__()
        self.kept, self.seen, self.stats = torch.zeros(3), np.zeros(3), {"a": {"n": 0}}

    def forward(self, x: Tensor) -> Tensor:
        kept, seen = self.kept, self.seen
        kept[0], seen[1] = x.sum(), 1.0
        self.stats["a"]["n"] += 1
        return x + self.shift


class Parent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Own(), Own()])

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            part.memory = float(x.sum())
        return self.parts[1](self.parts[0](x))


def remember(layer: Any, x: Tensor, seen: list[int]) -> None:
    layer.memory = float(x.sum())
    seen.append(1)


class ByFunction(Own):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        remember(self, x, self.seen)
        return x + self.shift + len(self.seen) + self.memory


def look(layer: Any, inputs: Any) -> None:
    layer.memory = float(inputs[0].sum())


def hooked() -> nn.Module:
    net = Own()
    net.register_forward_pre_hook(look)
    return net


class Weighted(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)
        self.shift = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight, self.bias) + self.shift


def normed() -> nn.Module:
    return nn.utils.spectral_norm(Weighted())


def weighed() -> nn.Module:
    net = nn.utils.weight_norm(Weighted())  # after which the attribute is of another time
    with torch.no_grad():
        net.weight_g.mul_(2.0)
    return net


def pruned() -> nn.Module:
    net = prune.l1_unstructured(Weighted(), "weight", amount=0.5)
    with torch.no_grad():
        net.weight_orig.mul_(2.0)
    return net


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "make",
    [
        *(Once, BySetter, ByName, ByDict, Counting, Storing, Parent, ByFunction),
        *(hooked, normed, weighed, pruned),
    ],
)
def test_the_hash_stays_after_a_pass(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = make().eval()
    before = base_hash(net)
    with torch.no_grad():
        net(torch.rand(4, 4))
    assert base_hash(net) == before
    part: Any = next(part for part in net.modules() if hasattr(part, "shift"))
    part.shift = 2.0
    assert base_hash(net) != before


class Switching(Own):
    def train(self, mode: bool = True) -> Any:
        self.memory = "training" if mode else "answering"  # type: ignore[assignment]
        return super().train(mode)


def test_what_follows_from_the_mode_is_no_option() -> None:
    assert base_hash(Switching().train()) == base_hash(Switching().eval())


class Adder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.inner = 0.0, Scaler()

    def forward(self, x: Tensor) -> Tensor:
        self.scale += 1.0
        self.last = self.scale
        return self.inner(x * self.scale)


class Scaler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = 2.0

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_what_a_layer_sets_on_itself_is_an_option_of_others() -> None:
    assert unprinted_options(Adder()) == [("inner.scale", 2.0)]
    assert uses_of(Adder()).assigned == {"scale", "last"}
    assert uses_of(Adder()).elsewhere == set()


class Lazy(nn.Module):
    """As some vision transformers: a buffer that is not saved is built for the first image."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("places", torch.zeros(1), persistent=False)
        self.register_buffer("fixed", torch.ones(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.places) != x.shape[-1]:
            self.places = torch.arange(float(x.shape[-1]))
        return x + self.places + self.fixed


def test_buffers_that_a_pass_makes_are_no_weights() -> None:
    net = nn.Sequential(Lazy())
    before, plain = base_hash(net), copy.deepcopy(net)
    net(torch.rand(4, 4))
    assert net[0].places.shape == (4,)
    assert base_hash(net) == before
    plain[0].fixed.add_(1.0)
    assert base_hash(plain) != before


@pytest.mark.parametrize("name", ["grad_checkpointing", "memory_efficient", "fused_attn"])
def test_how_a_layer_is_computed_is_no_option(name: str) -> None:
    """Else a network that was trained with checkpointing could not be saved as itself."""
    space: dict[str, Any] = {"nn": nn, "__name__": "outside"}
    exec(
        f"class Flagged(nn.Module):\n    {name} = False\n    shift = 1.0\n"
        f"    def forward(self, x): return x + self.shift if self.{name} else self.shift + x",
        space,
    )
    net = space["Flagged"]()
    setattr(net, name, True)
    assert digest_of_options(net) == b""
    net.shift = 2.0
    assert unprinted_options(net) == [("shift", 2.0)]


class Normalized(nn.Module):
    """Its constants go where the images are, as tensors or as buffers that are not saved."""

    def __init__(self, mean: float = 0.5, std: float = 1.0, *, buffers: bool = False) -> None:
        super().__init__()
        self.calls = 0
        for name, value in (("mean", mean), ("std", std)):
            if buffers:
                self.register_buffer(name, torch.tensor(value), persistent=False)
            else:
                setattr(self, name, torch.tensor(value))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.mean.device != x.device:
            self.mean = self.mean.to(x.device)
        self.std = self.std.to(x.device, non_blocking=True)
        return (x - self.mean) / self.std


@pytest.mark.parametrize("buffers", [False, True])
def test_what_code_only_moves_to_a_device_counts(buffers: bool) -> None:
    net = Normalized(buffers=buffers)
    before = base_hash(net)
    net(torch.rand(4))
    assert base_hash(net) == before
    assert base_hash(Normalized(0.4, buffers=buffers)) != before
    assert base_hash(Normalized(0.5, 2.0, buffers=buffers)) != before


class Drifting(nn.Module):
    """It moves its constant and changes it."""

    def __init__(self, mean: float) -> None:
        super().__init__()
        self.mean = torch.tensor(mean)

    def forward(self, x: Tensor) -> Tensor:
        self.mean = self.mean.to(x.device) + 1
        return x - self.mean


def test_what_code_changes_while_it_moves_it_is_no_option() -> None:
    assert base_hash(Drifting(0.5)) == base_hash(Drifting(0.4))
