"""A network is traced as it is called: with its hooks, and a forward of its own."""

import types

import pytest
import torch
from torch import fx, nn

from rsmooth.models.tracing import trace_call


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def with_hook_before():
    net = small()
    net.register_forward_pre_hook(lambda module, given: (given[0] * 10,))
    return net


def with_hook_after():
    net = small()
    net.register_forward_hook(lambda module, given, answer: -answer)
    return net


def with_its_own_forward():
    net = small()
    net.forward = types.MethodType(lambda self, x: self[1](self[0](x)) * 3, net)
    return net


NETS = {
    "plain": small,
    "hook-before": with_hook_before,
    "hook-after": with_hook_after,
    "own-forward": with_its_own_forward,
}


@pytest.mark.parametrize("name", NETS)
def test_the_steps_compute_what_a_call_does(name):
    net, x = NETS[name](), torch.rand(2, 1, 4, 4)
    graph = trace_call(fx.Tracer(), net)
    assert torch.equal(fx.GraphModule(net, graph)(x), net(x))


class Named(nn.Module):
    """Layers and values whose names begin as the name of what calls the network."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 4))
        self.network = nn.Linear(4, 4)
        self.nets = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.network(self.net(x)) + self.nets


def test_layers_have_the_names_that_the_network_gives_them():
    graph = trace_call(fx.Tracer(), Named())
    found = [node.target for node in graph.nodes if node.op in ("call_module", "get_attr")]
    assert found == ["net.0", "network", "nets"]


def test_a_network_of_one_layer_has_the_empty_name():
    graph = trace_call(fx.Tracer(), nn.Linear(4, 4))
    assert [node.target for node in graph.nodes if node.op == "call_module"] == [""]
