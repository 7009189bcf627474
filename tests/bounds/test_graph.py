"""The clean pass over a graph is the network's own."""

import pytest
import torch
from torch import nn

from rsmooth.bounds.graph import Graph
from rsmooth.bounds.tracing import trace_network
from rsmooth.models.folding import fold_batchnorm
from rsmooth.registry import MODELS

SMALL = {"resnet9": {"width": 8}, "mlp": {"image_size": 16}, "patch-cnn": {"widths": (8, 8, 8)}}
SIZE = {"wk-small": 32, "wk-large": 32, "wk-resnet": 32, "cnn7": 32, "cnn7-bn": 32, "dm-large": 32}
OWN = sorted(
    set(MODELS.own_names())
    - {
        "resnet50",
        "resnet110",
        "resnet20",
        "cifar-resnet",
        "wrn-28-10",
    }  # of the kinds of layers of smaller ones
    - {"denoised", "ensemble", "int8"}  # made of other models
    - {"efficientnet-lite0"}  # of another package
    - {"timm", "torchvision", "hf"}  # of other libraries
)


@pytest.mark.parametrize("name", OWN)
def test_the_clean_pass_is_the_network(name):
    net = MODELS.create(name, in_channels=1, normalize=((0.4,), (0.3,)), **SMALL.get(name, {}))
    size = SIZE.get(name, 16)
    x = torch.rand(3, 1, size, size)
    for model in (net.train(), net.eval(), fold_batchnorm(net)):
        logits, graph = trace_network(model).clean_pass(x, update=False)
        assert isinstance(graph, Graph)
        torch.testing.assert_close(logits, model(x), rtol=0, atol=0)


def test_a_graph_follows_the_weights():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    graph = trace_network(net)
    nn.init.ones_(net[1].weight)
    nn.init.zeros_(net[1].bias)
    assert torch.equal(graph.clean_pass(torch.ones(1, 1, 2, 2))[0], torch.full((1, 2), 4.0))


def test_a_fixed_graph_needs_eval_mode():
    graph = trace_network(MODELS.create("small-cnn", in_channels=1))
    with pytest.raises(ValueError, match=r"got 1\.1 \(BatchNorm2d.* in train mode; call net\.eval"):
        graph.fixed()
