"""Bounds of a box are computed once, and cost what they are said to."""

import pytest
import torch
from torch import nn

from rsmooth.bounds import BoundedPass, Bounds, pixel_box, trace_network
from rsmooth.bounds.layers import Relu
from rsmooth.bounds.linear import Backward
from rsmooth.bounds.passes import count_rows
from rsmooth.models.normalize import Normalize
from tests.bounds.oracles import images, network


def bounds_of(name, epsilon=0.02):
    x, _ = images(name)
    return Bounds(trace_network(network(name)).fixed(), pixel_box(x, epsilon))


def test_pre_activations_are_the_intervals_before_each_relu():
    bounds = bounds_of("resnet8")
    assert len(bounds.pre_activations) == 7
    for position, z in bounds.pre_activations.items():
        node = bounds.graph.nodes[position]
        assert isinstance(node.op, Relu)
        assert z is bounds.intervals[node.inputs[0]]


@pytest.mark.parametrize("name", ["plain", "resnet8"])
@pytest.mark.parametrize("method", ["crown", "fast-lin"])
def test_rows_are_counted(name, method, monkeypatch):
    counted = []
    run = Backward._run

    def count(self, start, rows, **options):
        counted.append(rows.shape[1])
        return run(self, start, rows, **options)

    bounds, (_, y) = bounds_of(name), images(name)
    monkeypatch.setattr(Backward, "_run", count)
    bounds.margins(y, method)
    assert sum(counted) == count_rows(bounds, method)
    assert count_rows(bounds, "ibp") == count_rows(bounds, "crown-ibp") == 10
    counted.clear()
    bounds.margins(y, method, intersect=True)
    # Rows for the neurons alone that intervals leave unstable.
    assert sum(counted) < 0.8 * count_rows(bounds, method)


@pytest.mark.parametrize("method", ["crown", "fast-lin"])
def test_rows_of_unstable_neurons_give_what_all_rows_give(method, monkeypatch):
    """Intersected bounds are the same, since a stable neuron's lines do not depend on more."""
    few, all_rows, (_, y) = bounds_of("plain", 0.05), bounds_of("plain", 0.05), images("plain")

    def by_all_rows(self, position, backward, own):
        return self._by_rows(position, backward, intersect=False).intersect(own)

    found = few.margins(y, method, intersect=True)
    monkeypatch.setattr(Bounds, "_by_unstable_rows", by_all_rows)
    torch.testing.assert_close(found, all_rows.margins(y, method, intersect=True))


@pytest.mark.parametrize("method", ["crown", "fast-lin"])
def test_chunks_of_unstable_rows_change_nothing(method):
    (x, y), graph = images("plain"), trace_network(network("plain")).fixed()
    whole, parts = (
        Bounds(graph, pixel_box(x, 0.05), memory=memory).margins(y, method, intersect=True)
        for memory in (2**28, 2**18)
    )
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=1e-12)


def test_a_tensor_of_epsilons_is_one_epsilon_per_image():
    net, (x, y) = network("plain"), images("plain")
    epsilons = torch.linspace(0.0, 0.1, len(x), dtype=x.dtype)
    graph = trace_network(net)
    together = BoundedPass(graph, pixel_box(x, epsilons.view(-1, 1, 1, 1)), x=x)
    for at in range(len(x)):
        one = x[at : at + 1]
        alone = BoundedPass(graph, pixel_box(one, float(epsilons[at])), x=one)
        for method in ("ibp", "crown-ibp", "fast-lin"):
            torch.testing.assert_close(
                together.margins(y, method)[at : at + 1], alone.margins(y[at : at + 1], method)
            )


def test_no_rows_where_intervals_are_exact():
    """They are up to the first layer that mixes pixels, whatever normalises or flattens before."""
    net = nn.Sequential(Normalize(0.5, 0.5), nn.Flatten(), nn.Linear(16, 8), nn.ReLU())
    net.extend([nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)])
    bounds = Bounds(trace_network(net).fixed(), pixel_box(torch.rand(2, 1, 4, 4), 0.1))
    assert count_rows(bounds, "fast-lin") == 6 + 3
