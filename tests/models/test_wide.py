"""The wide ResNet of 9 layers: its layers, widths and residual blocks, and its options."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsmooth.registry import MODELS


def convolutions(**options):
    model = MODELS.create("resnet9", **options)
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def test_it_has_nine_layers_of_growing_width():
    widths = [layer.out_channels for layer in convolutions(width=8)]
    assert widths == [8, 16, 16, 16, 32, 32, 32, 32]
    linear = MODELS.create("resnet9", width=8, num_classes=7)[1][-1]
    assert (linear.in_features, linear.out_features) == (32, 7)
    assert len(widths) + 1 == 9


def test_a_residual_block_without_weights_passes_the_image_on():
    block = MODELS.create("resnet9", width=8)[1][3].eval()
    x = torch.rand(2, 16, 4, 4)
    with torch.no_grad():
        for weight in block.parameters():
            weight.zero_()
        assert torch.equal(block(x), x)


@pytest.mark.parametrize(("option", "value"), [("width", 16), ("in_channels", 2)])
def test_each_option_changes_the_model(option, value):
    sizes = [[layer.weight.shape for layer in convolutions(**o)] for o in ({}, {option: value})]
    assert sizes[0] != sizes[1]


def test_a_width_below_one_is_refused():
    with pytest.raises(ValueError, match="expected width >= 1, got 0"):
        MODELS.create("resnet9", width=0)
