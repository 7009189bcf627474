"""From a trained classifier to integers: near to it, keyed by the seed, and refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rsmooth.models import quantize
from rsmooth.models.int8.layers import Convolution
from rsmooth.noise.distributions import Uniform
from rsmooth.smoothed import SmoothedClassifier
from tests.models.int8.integers import answer
from tests.models.int8.nets import (
    NETS,
    needs_int8,
    network,
    noisy,
    quantized,
    smoothed,
    training_images,
)


@needs_int8
@pytest.mark.parametrize("name", NETS)
def test_the_integers_answer_nearly_as_the_network_does(name: str) -> None:
    x = noisy(64, seed=5)
    with torch.no_grad():
        wanted, found = smoothed(name).base(x).double(), quantized(name).base(x)
    error = (found - wanted).norm() / (wanted - wanted.mean(dim=0)).norm()
    assert error < 0.4, f"expected the logits of the network, got a distance of {error:.3f}"
    assert (found.argmax(1) == wanted.argmax(1)).float().mean() >= 0.85


def test_the_seed_decides_and_nothing_else_does() -> None:
    g = smoothed("small-cnn")
    state = quantized("small-cnn").base.state_dict()
    torch.manual_seed(77)
    again = quantize(g, training_images(), seed=0).base.state_dict()
    assert all(torch.equal(state[name], again[name]) for name in state)
    other = quantize(g, training_images(), seed=1).base.state_dict()
    assert any(not torch.equal(state[name], other[name]) for name in state)
    assert quantized("small-cnn").base.made == {
        "seed": 0,
        "images": 32,
        "noise": {"name": "gaussian", "sigma": 0.25},
    }


def test_the_classifier_is_as_the_other_but_for_the_network() -> None:
    g = SmoothedClassifier(network("small-cnn"), noise=Uniform(0.5), num_classes=10, num_noise=3)
    before = {name: tensor.clone() for name, tensor in g.base.state_dict().items()}
    g8 = quantize(g, training_images())
    assert (g8.noise, g8.num_classes, g8.num_noise) == (Uniform(0.5), 10, 3)
    assert all(torch.equal(before[name], tensor) for name, tensor in g.base.state_dict().items())


def tall(tiny: float) -> nn.Sequential:
    """A convolution with many weights of both signs, and a second channel of ``tiny`` ones."""
    torch.manual_seed(0)
    many = nn.Conv2d(512, 2, 3, padding=1)
    nn.init.uniform_(many.weight, 0.9, 1.0)
    with torch.no_grad():
        many.weight[:, ::2].neg_()
        many.weight[1].mul_(tiny)
    first = nn.Conv2d(3, 512, 4, stride=4)
    return nn.Sequential(first, nn.ReLU(), many, nn.Flatten(), nn.Linear(32, 10)).eval()


@needs_int8
@pytest.mark.parametrize("tiny", [1.0, 1e-7])
def test_sums_are_kept_where_float32_is_exact_by_coarser_weights(tiny: float) -> None:
    g8 = quantize(SmoothedClassifier(tall(tiny), 0.25, 10), training_images())
    layer = g8.base.layers[2]
    assert isinstance(layer, Convolution)
    weight = layer.weight.double().flatten(1)
    most = 255 * torch.maximum(weight.clamp(min=0).sum(1), weight.clamp(max=0).sum(1).abs())
    assert 2**22 < most[0] < 2**24
    assert layer.weight.abs().max() < 64, "expected steps that are coarser than the best ones"
    # Beside a zero point of 8 bits, 24 bits have room for 15 behind the point.
    assert layer.exponent.min() >= layer.grid(-1).exponent - 15
    if tiny < 1:
        assert layer.exponent[1] == layer.grid(-1).exponent - 15
    x = noisy(8)
    assert torch.equal(g8.base(x), g8.base.exact(x))


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-30])
@pytest.mark.parametrize("last", [True, False])
def test_biases_beside_weights_next_to_nothing_are_kept(scale: float, last: bool) -> None:
    torch.manual_seed(0)
    first, linear = nn.Conv2d(3, 3, 4, stride=4), nn.Linear(48, 10)
    nn.init.normal_(linear.bias, 2.0)
    with torch.no_grad():
        linear.weight.mul_(scale)
    rest = [] if last else [nn.ReLU(), nn.Linear(10, 10)]
    net = nn.Sequential(first, nn.ReLU(), nn.Flatten(), linear, *rest).eval()
    base = quantize(SmoothedClassifier(net, 0.25, 10), training_images()).base
    x = noisy(4)
    found = base.exact(x)
    # It also sees that all sums are below 2^53.
    assert torch.equal(found, torch.from_numpy(answer(base, x)))
    assert torch.allclose(found, net(x).double(), atol=0.02)


class Apart(nn.Module):
    """A shortcut of numbers that are far smaller than the sum, after ReLU or not."""

    def __init__(self, relu: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.branch = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.head, self.relu = nn.Linear(2048, 10), relu
        with torch.no_grad():
            for tensor in self.first.parameters():
                tensor.mul_(1e-5 if relu else 1e-6)
            self.branch.weight.mul_(1e5 if relu else 1e2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = x + self.branch(x)
        return self.head((x.relu() if self.relu else x).flatten(1))


class Pooled(nn.Sequential):
    """Mean pooling in the middle."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2), nn.Conv2d(4, 2, 8), nn.Flatten())


@pytest.mark.parametrize(
    ("net", "images", "options", "said"),
    [
        (
            Pooled(),
            training_images(),
            {},
            "got mean pooling before a layer that is not linear, at 2",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 10, 16), nn.Flatten()),
            training_images(),
            {},
            "not linear, at 1",
        ),
        (Apart(True), training_images(), {}, "some thousand times apart, at branch"),
        (Apart(False), training_images(), {}, "some thousand times apart, at branch"),
        (None, training_images(0), {}, "expected training images, got none"),
        (None, 3 * training_images(), {}, r"expected images in \[0, 1\]"),
        (None, training_images(), {"seed": "a"}, "seed"),
    ],
)
def test_what_cannot_be_made_is_refused(
    net: nn.Module | None, images: torch.Tensor, options: dict[str, Any], said: str
) -> None:
    g = SmoothedClassifier((net or network("small-cnn")).eval(), 0.25, 10)
    with pytest.raises(ValueError, match=said):
        quantize(g, images, **options)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_training_that_has_diverged_is_named_so(value: float) -> None:
    base = nn.Sequential(nn.Flatten(), nn.Linear(768, 10)).eval()
    nn.init.constant_(base[1].bias, value)
    with pytest.raises(ValueError, match="has training diverged"):
        quantize(SmoothedClassifier(base, 0.25, 10), training_images())


def test_integers_are_not_made_of_integers() -> None:
    with pytest.raises(ValueError, match="expected a network of real numbers, got an Int8Network"):
        quantize(quantized("small-cnn"), training_images())
