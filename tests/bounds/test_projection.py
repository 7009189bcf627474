"""Estimated dual bounds: what they converge to, and that nothing that certifies knows of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import rsmooth
from rsmooth.bounds import Bounds, pixel_box, trace_network
from rsmooth.bounds.projection import estimated_margins
from tests.bounds import oracles

EPSILON = 0.02


def bounds(name: str) -> tuple[Bounds, torch.Tensor]:
    x, y = oracles.images(name)
    return Bounds(trace_network(oracles.network(name)).fixed(), pixel_box(x, EPSILON)), y


@pytest.mark.parametrize("name", oracles.NETS)
def test_many_projections_come_near_the_exact_margins(name: str) -> None:
    """The error is small beside what the box takes off the clean margins; the seed is fixed."""
    done, y = bounds(name)
    exact = done.margins(y, "fast-lin")
    generator = torch.Generator().manual_seed(0)
    found = estimated_margins(
        done, y, projections={"plain": 4001, "resnet8": 401}[name], generator=generator
    )
    clean = Bounds(done.graph, pixel_box(oracles.images(name)[0], 0.0)).margins(y, "fast-lin")
    error = (found - exact).detach().abs().max() / (clean - exact).abs().max()
    assert error < 0.15
    assert not torch.equal(found, exact)


def test_the_error_falls_with_the_number_of_projections() -> None:
    """20 estimates each of 5 and of 321 projections: eight times the error, give or take."""
    done, y = bounds("plain")
    exact = done.margins(y, "fast-lin")
    errors = []
    for projections in (5, 321):
        generator = torch.Generator().manual_seed(1)
        found = [
            estimated_margins(done, y, projections=projections, generator=generator)
            for _ in range(20)
        ]
        errors.append(float((torch.stack(found) - exact).detach().abs().median()))
    assert errors[0] > 3 * errors[1]


def test_an_estimate_is_no_bound() -> None:
    """Of few projections it lies above the exact margins half of the time, and may above 0."""
    done, y = bounds("plain")
    exact = done.margins(y, "fast-lin")
    generator = torch.Generator().manual_seed(2)
    found = torch.stack(
        [estimated_margins(done, y, projections=5, generator=generator) for _ in range(20)]
    )
    assert (found > exact + 1e-9).any()


def test_one_layer_needs_no_estimate() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)).double()
    x, y = oracles.images("plain")
    done = Bounds(trace_network(net).fixed(), pixel_box(x, EPSILON))
    found = estimated_margins(done, y, projections=1)
    torch.testing.assert_close(found, done.margins(y, "fast-lin"))


def test_gradients_reach_the_weights() -> None:
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    done = Bounds(trace_network(net).fixed(), pixel_box(x, EPSILON))
    estimated_margins(done, y, projections=9).sum().backward()
    for own in net.parameters():
        assert own.grad is not None
        assert own.grad.isfinite().all()


def test_max_pooling_is_refused() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
    net.append(nn.Linear(8, 10))
    x, y = oracles.images("plain")
    done = Bounds(trace_network(net.double()).fixed(), pixel_box(x, EPSILON))
    with pytest.raises(ValueError, match="expected a network without max pooling, got 0; use mean"):
        estimated_margins(done, y, projections=3)


def test_only_training_knows_of_estimates() -> None:
    root = Path(rsmooth.__file__).parent
    users = []
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if "rsmooth.bounds.projection" in names:
            users.append(path.relative_to(root).as_posix())
    assert users == ["defenses/dual.py"]
