"""Networks read for integers: the same function, and a name for what cannot be read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rsmooth.models.int8.reading import read_network, run
from tests.models.int8.nets import NETS, Odd, network, noisy


@pytest.mark.parametrize("name", NETS)
def test_the_nodes_are_the_network(name: str) -> None:
    base, x = network(name), noisy(4)
    nodes = read_network(base, x)
    with torch.no_grad():
        assert torch.allclose(run(nodes, x)[-1], base(x), rtol=1e-4, atol=1e-5)
    assert all(max(node.inputs, default=-1) < at for at, node in enumerate(nodes))


def test_relu_and_shortcuts_are_part_of_the_layer_before() -> None:
    kinds = [
        (node.kind, len(node.inputs), node.relu)
        for node in read_network(network("resnet8"), noisy(2))
    ]
    block = [("convolution", 1, True), ("convolution", 2, True)]
    down = [("convolution", 1, False), ("convolution", 1, True), ("convolution", 2, True)]
    assert sorted(kinds) == sorted(
        [
            ("image", 0, False),
            ("normalize", 1, False),
            ("convolution", 1, True),
            *block,
            *down,
            *down,
            ("mean", 1, False),
            ("flatten", 1, False),
            ("linear", 1, False),
        ]
    )


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Broadcast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + x.amax(dim=(2, 3), keepdim=True)


class Overwritten(Odd):
    """The ReLU in place changes what the shortcut reads, which a graph does not show."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.first(x))
        y = self.relu(x)
        return self.head(self.hidden(self.mean(self.same(y) + x).flatten(1)))


def hooked() -> nn.Module:
    net = network("small-cnn")
    net[1][2].register_forward_hook(lambda *_: None)
    return net


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU()),
            r"got GELU\(approximate='none'\) at 1; exchange",
        ),
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding="same")), "got Conv2d"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(5)), "got AdaptiveAvgPool2d"),
        (nn.Sequential(nn.AvgPool2d(2, ceil_mode=True)), "got AvgPool2d"),
        (nn.Sequential(nn.Linear(16, 16)), "got Linear"),
        (Branching(), "expected a network whose layers torch.fx can trace, got Branching"),
        (Broadcast(), "got the step"),
        (hooked(), "got ReLU"),
    ],
)
def test_what_cannot_be_read_is_named(net: nn.Module, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_network(net.eval(), noisy(2))


def test_a_forward_that_does_more_than_it_shows_is_found_out() -> None:
    with pytest.raises(ValueError, match="expected layers that compute what Overwritten does"):
        read_network(Overwritten().eval(), noisy(2))
