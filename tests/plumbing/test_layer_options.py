"""Options that printing a network leaves out, of torch's layers and of other classes."""

from __future__ import annotations

import copy
import functools
import inspect
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsmooth.plumbing.layer_options import digest_of_options, unprinted_options

# What torch's constructors are given here; the rest keep their defaults.
GIVEN = {
    "in_channels": 4,
    "out_channels": 4,
    "kernel_size": 3,
    "num_features": 4,
    "in_features": 4,
    "out_features": 4,
    "num_channels": 4,
    "num_groups": 2,
    "normalized_shape": 4,
    "embed_dim": 8,
    "num_heads": 2,
    "d_model": 8,
    "nhead": 2,
    "input_size": 4,
    "hidden_size": 4,
    "num_embeddings": 4,
    "embedding_dim": 4,
    "output_size": 2,
    "padding": 1,
    "upscale_factor": 2,
    "downscale_factor": 2,
    "threshold": 0.1,
    "value": 0.2,
    "size": 3,
    "groups": 2,
    "norm_type": 2.0,
}
# Parameters that no output in eval mode depends on, or that shapes of weights show.
NO_MATTER = {"return_indices", "dropout", "process_group", "device", "dtype", "inplace", "_freeze"}
NO_MATTER |= {"init", "sparse", "bias", "dim_feedforward", "enable_nested_tensor", "batch_first"}
OTHERS = {
    "zeros": "circular",
    "tanh": "relu",
    "nearest": "bilinear",
    nn.functional.relu: torch.tanh,
}


def other(value: Any) -> list[Any]:
    """Other values of an option than this one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1]
    if isinstance(value, str) or callable(value):
        return [OTHERS[value]] if value in OTHERS else []
    return [True, 2, 3, (2, 2)] if value is None else []


def parameters(kind: type) -> dict[str, inspect.Parameter]:
    found: dict[str, inspect.Parameter] = {}
    for each in kind.__mro__:
        if "__init__" in vars(each) and each not in (nn.Module, object):
            for name, parameter in inspect.signature(each.__init__).parameters.items():
                if name != "self" and parameter.kind not in (
                    inspect.Parameter.VAR_KEYWORD,
                    inspect.Parameter.VAR_POSITIONAL,
                ):
                    found.setdefault(name, parameter)
    return found


def made(kind: type, **options: Any) -> Any:
    try:
        torch.manual_seed(0)
        return kind(**options)
    except Exception:  # whatever torch says of options that do not go together
        return None


def pairs() -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Layers of torch that differ in one option: its name, both layers."""
    for kind in vars(nn).values():
        if not inspect.isclass(kind) or not issubclass(kind, nn.Module) or "Loss" in kind.__name__:
            continue
        known = parameters(kind)
        required = {
            name: GIVEN[name]
            for name, parameter in known.items()
            if parameter.default is parameter.empty and name in GIVEN
        }
        for name in known.keys() - NO_MATTER:
            fixed = {"mode": "bilinear"} if name == "align_corners" else {}
            first = made(kind, **required, **fixed)
            usual = required.get(name, known[name].default)
            for value in other(usual) if first is not None else []:
                second = made(kind, **{**required, **fixed, name: value})
                if second is not None:
                    yield f"{kind.__name__}.{name}", first, second
                    break


def shapes(layer: nn.Module) -> list[Any]:
    return [(name, value.shape) for name, value in layer.state_dict().items()]


def test_layers_of_torch_that_differ_in_an_option_can_be_told_apart() -> None:
    alike, tried = [], 0
    for name, first, second in pairs():
        tried += 1
        printed = repr(first) == repr(second) and shapes(first) == shapes(second)
        if printed and digest_of_options(first) == digest_of_options(second):
            alike.append(name)
    assert tried > 150
    assert alike == []


def test_layers_with_the_usual_options_have_none() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Upsample(8),
        nn.GRU(4, 4),
    )
    assert unprinted_options(net) == []
    assert digest_of_options(net) == b""
    assert unprinted_options(nn.RNN(2, 3, nonlinearity="relu")) == [("mode", "RNN_RELU")]


class Own(nn.Module):
    """A class of a user, whose forward reads options by itself, a method and a property."""

    def __init__(self, scale: Any = 2.0, activation: Callable[..., Any] = torch.relu) -> None:
        super().__init__()
        self.scale, self.activation, self.offsets = scale, activation, [0, 1]
        self.calls, self.shape, self.unread, self.best = 0, (1,), 3.0, None

    @property
    def doubled(self) -> Any:
        return 2 * self.scale

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.moved(self.activation(x * self.doubled))

    def moved(self, x: Tensor) -> Tensor:
        self.shape = tuple(x.shape)
        return x + self.offsets[1]


class Child(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


@pytest.mark.parametrize("kind", [Own, Child])
def test_options_of_other_classes_are_what_forward_reads_and_does_not_assign(kind: Any) -> None:
    net = kind()
    found = dict(unprinted_options(nn.Sequential(net)))
    assert set(found) == {"0.scale", "0.activation", "0.offsets"}
    before = digest_of_options(net)
    net(torch.ones(2))
    net.best_accuracy = 0.5  # nothing of the class reads it
    net.unread = 4.0
    assert net.calls == 1
    assert digest_of_options(net) == before == digest_of_options(copy.deepcopy(net))
    net.offsets[1] = 2
    assert digest_of_options(net) != before


class Kind(Enum):
    MEAN = "mean"
    MAXIMUM = "maximum"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (2.0, 3.0),
        (2, 2.0),
        (True, False),
        ("up", "down"),
        (np.float32(2), np.float32(3)),
        (np.zeros(5000), np.eye(5000)[2500]),
        (torch.zeros(5000), torch.eye(5000)[2500]),
        ([1, [2]], [1, [3]]),
        ([[1], 2], [1, [2]]),
        ({"a": (1, 2)}, {"a": (1, 3)}),
        ({1, 2}, {1, 3}),
        (partial(torch.softmax, dim=1), partial(torch.softmax, dim=0)),
        (Kind.MEAN, Kind.MAXIMUM),
        (None, 2.0),
    ],
)
def test_values_of_any_plain_kind_count(first: Any, second: Any) -> None:
    assert digest_of_options(Own(first)) == digest_of_options(Own(copy.deepcopy(first)))
    assert digest_of_options(Own(first)) != digest_of_options(Own(second))


@pytest.mark.parametrize(
    "value",
    [object(), [nn.ReLU()], torch.zeros(2, device="meta"), np.array([object(), {}], dtype=object)],
)
def test_what_has_no_plain_value_is_left_out(value: Any) -> None:
    assert "scale" not in dict(unprinted_options(Own(value)))


class Recording(nn.Module):
    """It fills what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.counts: dict[str, int] = {"n": 0}
        self.scale = 2.0

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        self.counts["n"] += 1
        return x * self.scale


def test_collections_that_forward_fills_are_no_options() -> None:
    assert unprinted_options(Recording()) == [("scale", 2.0)]


def test_a_forward_of_the_object_is_read_too() -> None:
    net = nn.Linear(2, 2)
    net.factor = 3.0  # type: ignore[assignment]
    assert unprinted_options(net) == []
    net.forward = lambda x: x * net.factor  # type: ignore[method-assign,operator]
    assert unprinted_options(net) == [("factor", 3.0)]


def test_a_wrapped_forward_is_the_forward_still() -> None:
    """As torch.compile(net.forward) gives it, in a class that calls the one below."""
    net = Child()
    before = digest_of_options(net)
    net.forward = wraps(net.forward)(lambda x: x)  # type: ignore[method-assign]
    assert digest_of_options(net) == before


@dataclass
class Settings:
    factor: float = 2.0
    name: str = "run 1"


@functools.cache
def doubled(value: float) -> float:
    return 2 * value


def scaled(net: Any, x: Tensor) -> Tensor:
    return x * net.scale * doubled(net.settings.factor)


class Outside(nn.Module):
    """Its options are read by a function outside, and lie in a dataclass or namespace."""

    def __init__(self, scale: float = 2.0, settings: Any = None) -> None:
        super().__init__()
        self.scale, self.settings = scale, settings or Settings()

    def forward(self, x: Tensor) -> Tensor:
        return scaled(self, x)


@pytest.mark.parametrize("kind", [Settings, SimpleNamespace, Namespace])
def test_options_in_records_and_those_that_functions_outside_read_count(kind: Any) -> None:
    net = Outside(settings=kind(factor=2.0, name="run 1"))
    assert unprinted_options(net) == [("scale", 2.0), ("settings.factor", 2.0)]
    same = Outside(settings=kind(factor=2.0, name="run 2"))
    assert digest_of_options(net) == digest_of_options(same), "nothing reads the name"
    assert digest_of_options(net) != digest_of_options(Outside(settings=kind(factor=3.0, name="")))
