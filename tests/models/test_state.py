"""Eval mode for a while, from several threads; copies of modules that are awkward to copy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.models.state import copied, dtype_of, frozen, without_inference_tensors


def mixed() -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    net[1].eval()
    net[0].bias.requires_grad_(False)  # type: ignore[union-attr]
    return net


def flags(net: nn.Module) -> tuple[list[bool], list[bool]]:
    return [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]


def test_the_type_of_a_module_is_that_of_its_first_numbers() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    net.register_parameter("whole", nn.Parameter(torch.ones(1).long(), requires_grad=False))
    assert dtype_of(net, torch.float16) == torch.float32
    assert dtype_of(net.double(), torch.float16) == torch.float64
    assert dtype_of(nn.ReLU(), torch.float16) == torch.float16


def in_turns(*steps: Callable[[], Any]) -> None:
    """Each step in a thread of its own, one after the other."""
    for step in steps:
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()


def test_overlapping_contexts_keep_eval_mode_until_the_last_one_leaves() -> None:
    net = mixed()
    before = flags(net)
    inner = net[2]  # a part of the same module, from another classifier
    first, second, part = frozen(net), frozen(net), frozen(inner)
    leave: tuple[None, None, None] = (None, None, None)
    in_turns(first.__enter__, second.__enter__, part.__enter__, lambda: first.__exit__(*leave))
    assert not any(flags(net)[0])
    assert not any(flags(net)[1])
    in_turns(lambda: second.__exit__(*leave))
    assert not inner.training
    assert net.training
    in_turns(lambda: part.__exit__(*leave))
    assert flags(net) == before


def test_many_threads_leave_a_module_as_it_was() -> None:
    net, seen = mixed(), []
    before = flags(net)

    def work() -> None:
        for _ in range(200):
            with frozen(net):
                seen.append(net[0].training or net[2].training or net[0].weight.requires_grad)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flags(net) == before
    assert seen == [False] * 800


class OneMode(nn.Linear):
    """A part that refuses to be told its mode, as those of torch.export do."""

    def train(self, mode: bool = True) -> OneMode:
        raise NotImplementedError("Calling train() is not supported yet.")


def test_a_part_of_one_mode_is_left_in_it() -> None:
    net = nn.Sequential(nn.Dropout(0.5), OneMode(2, 2))
    before = flags(net)
    with frozen(net):
        assert not any(flags(net)[0])
    assert flags(net) == before


class Recorder:
    """What a hook for feature maps usually looks like."""

    def __init__(self) -> None:
        self.maps: dict[str, list[Tensor]] = {"last": []}
        self.lock = threading.Lock()

    def keep(self, module: nn.Module, given: Any, out: Tensor) -> None:
        self.maps["last"] = [out]


def test_activations_and_locks_beside_the_weights_are_no_obstacle() -> None:
    net = mixed().double()
    recorder = Recorder()
    net[0].register_forward_hook(recorder.keep)
    net.cache = net(torch.rand(1, 1, 4, 4).double())
    net.lock = threading.Lock()
    other = copied(net)
    assert other.lock is net.lock
    assert not other.cache.requires_grad
    assert torch.equal(other.cache, net.cache)  # type: ignore[operator]
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one.data_ptr() != two.data_ptr()
        assert one.requires_grad == two.requires_grad


def test_what_holds_a_module_and_cannot_be_copied_is_named() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    net.owner = SimpleNamespace(net=net, lock=threading.Lock())
    assert copied(net).owner.net is not net  # type: ignore[union-attr]
    net.owner = (each for each in [net])
    assert copied(net).owner is net.owner

    class Stubborn(nn.Linear):
        def __deepcopy__(self, memo: object) -> None:
            raise RuntimeError("only one of me")

    with pytest.raises(TypeError, match=r"that can be copied, got Sequential.*only one of me"):
        copied(nn.Sequential(Stubborn(2, 2)))


def test_what_its_copy_shares_with_a_module_is_named() -> None:
    """Otherwise the eval mode and the folded layers of the copy would be those of the module."""

    class Shared(nn.Conv2d):
        def __deepcopy__(self, memo: object) -> Shared:
            return self

    net = nn.Sequential(nn.Sequential(Shared(1, 1, 1)), nn.BatchNorm2d(1))
    with pytest.raises(TypeError, match=r"of which 0\.0 \(Shared\) is shared with its copy"):
        copied(net)
    net.cache = net(torch.rand(1, 1, 4, 4))  # which cannot be copied at first
    with pytest.raises(TypeError, match=r"of which 0\.0 \(Shared\) is shared with its copy"):
        copied(net)


def test_a_model_made_in_inference_mode_is_copied_out_of_it() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert without_inference_tensors(plain) is plain
    with torch.inference_mode():
        made = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        other = without_inference_tensors(made)
    x = torch.rand(1, 1, 4, 4, requires_grad=True)
    other.eval()(x).sum().backward()
    assert x.grad is not None
    for name, tensor in made.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
