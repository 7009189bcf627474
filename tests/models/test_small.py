"""Small networks: each option has its effect."""

from __future__ import annotations

import pytest
import torch

from rsmooth.registry import MODELS


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("small-cnn", "width", 8),
        ("mlp", "hidden", (5, 6)),
        ("small-cnn", "in_channels", 2),
        ("mlp", "image_size", 4),
        ("small-cnn", "num_classes", 3),
        ("mlp", "num_classes", 3),
    ],
)
def test_each_option_changes_the_model(name, option, value):
    sizes = [
        [tuple(p.shape) for p in MODELS.create(name, **options).parameters()]
        for options in ({}, {option: value})
    ]
    assert sizes[0] != sizes[1]


def test_mlp_without_hidden_layers_is_linear():
    model = MODELS.create("mlp", num_classes=3, in_channels=1, image_size=4, hidden=())
    x, y = torch.rand(2, 1, 1, 4, 4)
    torch.testing.assert_close(model((x + y) / 2), (model(x) + model(y)) / 2)


def test_a_width_below_one_is_refused():
    with pytest.raises(ValueError, match="expected width >= 1, got 0"):
        MODELS.create("small-cnn", width=0)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("small-cnn", {"num_classes": 0}, "expected num_classes >= 1, got 0"),
        ("small-cnn", {"width": 1.5}, "expected an integer width, got 1.5"),
        ("mlp", {"hidden": (8, -1)}, r"expected hidden\[1\] >= 1, got -1"),
        ("mlp", {"image_size": 0}, "expected image_size >= 1, got 0"),
        ("resnet8", {"in_channels": -1}, "expected in_channels >= 1, got -1"),
        ("resnet9", {"num_classes": "10"}, "expected an integer num_classes, got '10'"),
        ("resnet50", {"num_classes": 0}, "expected num_classes >= 1, got 0"),
    ],
)
def test_sizes_that_no_layer_has_are_refused(name, options, said):
    with pytest.raises(ValueError, match=said):
        MODELS.create(name, **options)
