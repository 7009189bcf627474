"""Networks of published certificates: their parameters, layers, first weights, and options."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rsmooth.registry import MODELS

NAMES = ("wk-small", "wk-large", "wk-resnet", "cnn7", "dm-large", "cnn7-bn")


def layers(model, kind=(nn.Conv2d, nn.Linear)):
    return [layer for layer in model.modules() if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("wk-small", 214_918),
        ("wk-large", 2_466_858),
        ("wk-resnet", 4_214_850),
        ("cnn7", 17_190_602),
        ("dm-large", 17_190_602),
        ("cnn7-bn", 17_190_602 + 2 * (64 + 64 + 3 * 128 + 512)),
    ],
)
def test_parameters_are_those_of_the_published_networks(name, parameters):
    with torch.device("meta"):
        model = MODELS.create(name, initial="torch")
    assert sum(own.numel() for own in model.parameters()) == parameters


def by_hand(name):
    """The published layers once more: (kernel, stride, channels) of convolutions, then linears."""
    return {
        "wk-small": ([(4, 2, 16), (4, 2, 32)], [2048, 100, 10]),
        "wk-large": ([(3, 1, 32), (4, 2, 32), (3, 1, 64), (4, 2, 64)], [4096, 512, 512, 10]),
        "cnn7": (
            [(3, 1, 64), (3, 1, 64), (3, 2, 128), (3, 1, 128), (3, 1, 128)],
            [32_768, 512, 10],
        ),
    }[name]


@pytest.mark.parametrize("name", ["wk-small", "wk-large", "cnn7"])
def test_layers_are_the_published_ones(name):
    convolutions, sizes = by_hand(name)
    with torch.device("meta"):
        model = MODELS.create(name, initial="torch")
    found = [(c.kernel_size[0], c.stride[0], c.out_channels) for c in layers(model, nn.Conv2d)]
    assert found == convolutions
    linear = layers(model, nn.Linear)
    assert [linear[0].in_features, *(each.out_features for each in linear)] == sizes
    assert all(c.padding == (1, 1) for c in layers(model, nn.Conv2d))


def test_a_residual_block_is_its_formula():
    torch.manual_seed(0)
    block = MODELS.create("wk-resnet", width=4, image_size=8)[1][4]
    x = torch.randn(2, 4, 8, 8)
    by_formula = (block.shortcut(x) + block.conv2(block.conv1(x).relu())).relu()
    assert torch.equal(block(x), by_formula)
    assert block(x).shape == (2, 8, 4, 4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("option", "value"),
    [("width", 8), ("in_channels", 1), ("image_size", 8), ("num_classes", 3)],
)
def test_each_option_changes_the_model(name, option, value):
    small = {"width": 4, "image_size": 16}
    sizes = [
        [tuple(p.shape) for p in MODELS.create(name, **options).parameters()]
        for options in (small, {**small, option: value})
    ]
    assert sizes[0] != sizes[1]


def test_first_weights_of_wong_and_kolter():
    """Of 8192 normal draws the standard deviation is within 5 % of the true one, 6 sigma."""
    torch.manual_seed(0)
    first, second = layers(MODELS.create("wk-small"), nn.Conv2d)
    assert second.weight.std().item() == pytest.approx(math.sqrt(2 / (16 * 32)), rel=0.05)
    assert not first.bias.any()
    assert not second.bias.any()


def test_first_weights_of_fast_ibp_leave_the_last_layer_and_halve_after_sums():
    torch.manual_seed(0)
    model = MODELS.create("wk-resnet", initial="ibp")
    blocks = [layer for layer in model[1] if hasattr(layer, "shortcut")]
    for number, block in enumerate(blocks):
        fan_in = block.conv1.weight[0].numel()
        share = 1 if number == 0 else 2
        std = math.sqrt(2 * math.pi) / fan_in / share
        assert block.conv1.weight.std().item() == pytest.approx(std, rel=0.1)
        assert block.conv2.weight.std().item() == pytest.approx(
            math.sqrt(2 * math.pi) / block.conv2.weight[0].numel(), rel=0.1
        )
    last = layers(model)[-1]
    assert last.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 1000), rel=0.05)


def test_intervals_keep_their_width_under_the_first_weights_of_fast_ibp():
    """The point of that initialisation, layer by layer: E |W| r stays r / 2 per ReLU, times 2.

    Under torch's own first weights the width grows by magnitudes.
    """
    widths = {}
    for initial in ("ibp", "torch"):
        torch.manual_seed(0)
        model = MODELS.create("cnn7", initial=initial, width=16, image_size=16)
        lower, upper = torch.full((1, 3, 16, 16), 0.49), torch.full((1, 3, 16, 16), 0.51)
        with torch.no_grad():
            for layer in list(model[1])[:-1]:
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    middle, radius = (lower + upper) / 2, (upper - lower) / 2
                    moved, weight = layer(middle), layer.weight.abs()
                    wide = (
                        nn.functional.conv2d(radius, weight, None, layer.stride, layer.padding)
                        if isinstance(layer, nn.Conv2d)
                        else nn.functional.linear(radius, weight)
                    )
                    lower, upper = moved - wide, moved + wide
                else:
                    lower, upper = layer(lower), layer(upper)
        widths[initial] = float((upper - lower).mean()) / 0.02
    assert 0.1 < widths["ibp"] < 10
    assert widths["torch"] > 100 * widths["ibp"]


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected image_size as a multiple of 4, got 30"):
        MODELS.create("wk-small", image_size=30)
    with pytest.raises(ValueError, match="expected image_size >= 4, got 2"):
        MODELS.create("cnn7", image_size=2)
    with pytest.raises(ValueError, match="expected width >= 1, got 0"):
        MODELS.create("wk-large", width=0)
    with pytest.raises(ValueError, match=r"expected initial to be one of torch, .* got 'he'"):
        MODELS.create("wk-small", initial="he")
