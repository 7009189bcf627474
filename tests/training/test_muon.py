"""Muon's steps are torch's where torch has them, and AdamW's for all other parameters."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.training import muon
from rsmooth.training.muon import Muon, hidden_matrices, orthogonal

OPTIONS: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    hidden = [nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Linear(5, 9)]
    return nn.Sequential(nn.Linear(4, 7), *hidden, nn.Linear(9, 3))


def train(net: nn.Module, optimizers: list[torch.optim.Optimizer], steps: int = 4) -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    for step in range(steps):
        net.zero_grad()
        net(x * (1 + step)).square().sum().backward()
        for optimizer in optimizers:
            optimizer.step()


def values(net: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("nesterov", [True, False])
def test_its_steps_are_those_of_torch(nesterov: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon, "computes_bfloat16", lambda device: True)  # torch's always does
    ours, theirs = network(), network()
    train(ours, [Muon(list(ours.parameters()), **{**OPTIONS, "nesterov": nesterov})])
    hidden = [theirs[1].weight, theirs[3].weight]
    matrices = {id(each) for each in hidden}
    rest = [each for each in theirs.parameters() if id(each) not in matrices]
    options = {"lr": 0.01, "weight_decay": 0.1}
    train(
        theirs,
        [
            torch.optim.AdamW(rest, betas=(0.9, 0.999), fused=True, **options),
            torch.optim.Muon(
                hidden,
                momentum=0.9,
                nesterov=nesterov,
                adjust_lr_fn="match_rms_adamw",
                **options,
            ),
        ],
    )
    assert torch.allclose(values(ours), values(theirs), rtol=0, atol=1e-6)
    assert not torch.allclose(values(ours), values(network()), atol=1e-3)


def test_hidden_are_the_matrices_between_the_first_and_the_last() -> None:
    net = network()
    assert [id(each) for each in hidden_matrices(list(net.parameters()))] == [
        id(net[1].weight),
        id(net[3].weight),
    ]
    assert hidden_matrices([nn.Parameter(torch.ones(3, 3))]) == []


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("shape", [(4, 4), (8, 30), (30, 8), (64, 2304)])
def test_the_step_is_roughly_orthogonal(
    shape: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a CPU without instructions for bfloat16, which would emulate them."""
    monkeypatch.setattr(muon, "computes_bfloat16", lambda device: native)
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonal(matrix)
    assert found.dtype == (torch.bfloat16 if native else torch.float32)
    values = torch.linalg.svdvals(found.float())
    assert 0.6 < values.min() <= values.max() < 1.3


def test_kernels_move_as_their_matrices_in_any_memory_format() -> None:
    grad = torch.randn(6, 3, 2, 2)
    found = []
    for shape, layout in (
        ((6, 3, 2, 2), torch.contiguous_format),
        ((6, 3, 2, 2), torch.channels_last),
        ((6, 12), torch.contiguous_format),
    ):
        edges = [nn.Parameter(torch.ones(1, 1)) for _ in range(2)]
        kernel = nn.Parameter(torch.ones(shape).contiguous(memory_format=layout))
        optimizer = Muon([edges[0], kernel, edges[1]], **OPTIONS)
        kernel.grad = grad.reshape(shape).contiguous(memory_format=layout)
        optimizer.step()
        found.append(kernel.detach().reshape(6, 12))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    moved = found[0] - (1 - 0.01 * 0.1)
    assert 0.7 < moved.square().mean().sqrt() / (0.2 * 0.01) < 1.2


def test_a_saved_state_goes_on_to_the_same_bits() -> None:
    whole, first = network(), network()
    train(whole, [Muon(list(whole.parameters()), **OPTIONS)], steps=4)
    optimizer = Muon(list(first.parameters()), **OPTIONS)
    train(first, [optimizer], steps=2)
    again = deepcopy(first)
    other = Muon(list(again.parameters()), **OPTIONS)
    other.load_state_dict(optimizer.state_dict())
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    for step in (2, 3):
        again.zero_grad()
        again(x * (1 + step)).square().sum().backward()
        other.step()
    assert torch.equal(values(again), values(whole))


def test_a_copy_goes_on_as_the_original() -> None:
    net = network()
    pair = net, Muon(list(net.parameters()), **OPTIONS)
    train(net, [pair[1]], steps=2)
    other, optimizer = deepcopy(pair)
    train(net, [pair[1]], steps=2)
    train(other, [optimizer], steps=2)
    assert torch.equal(values(other), values(net))


def test_parameters_without_a_gradient_stay() -> None:
    net = network()
    before = values(net)
    Muon(list(net.parameters()), **OPTIONS).step()
    assert torch.equal(values(net), before)
