"""What a checkpoint holds of a network, whatever wrapped it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.models.layouts import agreed, constants_among, read_layout, weights_of

PAIR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5))


WRAPPED = [
    lambda w: w,
    lambda w: {"state_dict": w, "epoch": 3, "optimizer": {"state": {}}},
    lambda w: {"net": w, "epoch": 3},
    lambda w: {"model": w, "ema": None},
    lambda w: {"model_state_dict": w},
    lambda w: {"state_dict": w, "model": w},  # the first is what everybody means
    lambda w: {"state_dict": {"n_averaged": torch.tensor(3), **w}},
]
PREFIXES = [
    "", "module.", "model.", "_orig_mod.", "1.", "1.module.", "module.1.", "module._orig_mod.",
    "net.encoder.", "model.module.1._orig_mod.",
]  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_layout_gives_the_weights_by_our_names(
    net: nn.Module, wrap: Any, prefix: str
) -> None:
    own = net.state_dict()
    layout = read_layout(wrap({prefix + name: tensor for name, tensor in own.items()}), "f")
    found, rest = weights_of(layout.weights, own, "f")
    assert rest == {}
    assert {name: id(tensor) for name, tensor in found.items()} == {
        name: id(tensor) for name, tensor in own.items()
    }


def test_counters_of_batch_norm_may_be_missing(net: nn.Module) -> None:
    own = net.state_dict()
    old = {f"1.{name}": tensor for name, tensor in own.items() if "num_batches" not in name}
    found, rest = weights_of(old, own, "f")
    assert found.keys() == own.keys()
    assert rest == {}


def test_other_entries_stay_to_be_refused(net: nn.Module) -> None:
    own = net.state_dict()
    beside = {"1." + name: tensor for name, tensor in own.items()} | {"loss.weight": torch.ones(3)}
    assert list(weights_of(beside, own, "f")[1]) == ["loss.weight"]
    plain = {**own, "loss.weight": torch.ones(3)}
    assert "loss.weight" in weights_of(plain, own, "f")[0]


def test_two_networks_in_one_file_are_not_chosen_between(net: nn.Module) -> None:
    own = net.state_dict()
    both = {f"{who}.{name}": t for who in ("student", "teacher") for name, t in own.items()}
    with pytest.raises(ValueError, match=r"several, under student\., teacher\.; save the"):
        weights_of(both, own, "f")
    with pytest.raises(ValueError, match="one state dict in f, got net and model; save"):
        read_layout({"net": own, "model": own}, "f")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.ones(3), "got Tensor; save the state_dict of the model"),
        ({}, "got ; save"),
        ({"epoch": 1, "loss": 2.0}, "got epoch, loss; save the weights under state_dict"),
        ({"state_dict": {}}, "got state_dict"),
        ({"state_dict": {"a": 1}}, "got state_dict"),
    ],
)
def test_what_holds_no_weights_is_refused(content: object, said: str) -> None:
    with pytest.raises(ValueError, match=f"expected a state dict, .* in f, {said}"):
        read_layout(content, "f")


def test_the_names_of_the_file_are_kept(net: nn.Module) -> None:
    layout = read_layout({"state_dict": net.state_dict(), "arch": "r", "normalize": "cifar10"}, "f")
    assert (layout.arch, layout.constants) == ("r", "cifar10")


@pytest.mark.parametrize("shape", [(3,), (1, 3, 1, 1), (3, 1, 1)])
@pytest.mark.parametrize(("mean", "std"), [("0.means", "0.sds"), ("normalize.mean", "norm._std")])
def test_constants_are_read_as_they_were_written(shape: Any, mean: str, std: str) -> None:
    rest = {mean: torch.tensor(PAIR[0]).view(shape), std: torch.tensor(PAIR[1]).view(shape)}
    assert constants_among(rest, "f") == PAIR
    assert constants_among({mean: rest[mean]}, "f") == (PAIR[0],)
    assert constants_among({}, "f") is None


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({"a.mean": [0.5], "b.mean": [0.5]}, "of one normalising layer in f, got a.mean, b.mean"),
        ({"a.std": [0.5]}, "of one normalising layer in f, got a.std"),
        ({"a.mean": [125.3], "a.std": [63.0]}, "constants for images in .*; divide mean and std"),
    ],
)
def test_constants_that_cannot_be_used_are_refused(rest: dict[str, list[float]], said: str) -> None:
    tensors: dict[str, Tensor] = {name: torch.tensor(values) for name, values in rest.items()}
    with pytest.raises(ValueError, match=said):
        constants_among(tensors, "f")


def test_constants_are_used_or_compared() -> None:
    assert agreed("unknown", PAIR, "f") == PAIR
    assert agreed("unknown", None, "f") == "unknown"
    assert agreed("cifar10", None, "f") == "cifar10"
    assert agreed(None, None, "f") is None
    assert agreed("cifar10", PAIR, "f") == "cifar10"
    assert agreed(((0.5,), (0.2,)), ((0.5,) * 3, (0.2,) * 3), "f") == ((0.5,), (0.2,))
    assert agreed((0.5, 0.2), ((0.5,) * 3, (0.2,) * 3), "f") == (0.5, 0.2)
    for other in ("cifar10-center", "imagenet", None, "none", (PAIR[0],), (PAIR[0], (0.2,) * 2)):
        with pytest.raises(ValueError, match=r"expected the normalisation that f holds, .*leave"):
            agreed(other, PAIR, "f")
