"""The network that pools early: its layers by hand, its size, what folds, and its options."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, max_pool2d

from rsmooth.models import fold_batchnorm
from rsmooth.models.resnet import BasicBlock
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.models.helpers import build, count_multiply_adds


def layers(model, kind):
    return [layer for layer in model.modules() if isinstance(layer, kind)]


def normalised(x, layer):
    return batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)


def test_it_is_the_function_of_its_description():
    model, x = build("patch-cnn", normalize=(0.3, 0.6))
    norms, convolutions = layers(model, nn.BatchNorm2d), layers(model, nn.Conv2d)
    for layer in norms:
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2.0)
        nn.init.normal_(layer.weight)
    with torch.no_grad():
        patch = convolutions.pop(0)
        h = conv2d((x - 0.3) / 0.6, patch.weight, patch.bias).relu()
        while norms:
            h = max_pool2d(conv2d(h, convolutions.pop(0).weight, padding=1), 2)
            h = normalised(h, norms.pop(0)).relu()
            h = conv2d(h, convolutions.pop(0).weight, padding=1)
            h = normalised(h, norms.pop(0)).relu()
        expected = model[1][-1](h.amax(dim=(2, 3)))
        torch.testing.assert_close(model.eval()(x), expected)


def test_its_size_is_the_documented_one():
    model = MODELS.create("patch-cnn")
    assert sum(own.numel() for own in model.parameters()) == 1_972_802
    assert count_multiply_adds(model, torch.rand(1, 3, 32, 32)) == 118_147_360
    assert len(layers(model, (nn.Conv2d, nn.Linear))) == 8


def test_batch_norms_behind_a_convolution_fold_and_those_behind_pooling_stay():
    folded = fold_batchnorm(MODELS.create("patch-cnn", widths=(8, 16, 16)))
    assert len(layers(folded, nn.BatchNorm2d)) == 3
    assert len(layers(MODELS.create("patch-cnn", widths=(8, 16, 16)), nn.BatchNorm2d)) == 6


def test_a_residual_block_without_weights_passes_the_features_on():
    model, _ = build("patch-cnn", residual=True)
    block = next(layer for layer in model.modules() if isinstance(layer, BasicBlock)).eval()
    features = torch.rand(2, 8, 4, 4)
    with torch.no_grad():
        block.conv2.weight.zero_()
        assert torch.equal(block(features), features)
    folded = fold_batchnorm(model)
    assert len(layers(folded, nn.BatchNorm2d)) == 2  # those behind pooling


def test_channels_last_it_is_the_same_function():
    model, x = build("patch-cnn")
    model = model.double().eval()
    with torch.no_grad():
        expected = model(x.double())
        last = model.to(memory_format=torch.channels_last)(x.double())
        torch.testing.assert_close(last, expected, atol=1e-12, rtol=0)


def test_it_is_saved_and_loaded_with_its_widths(tmp_path):
    g = SmoothedClassifier(build("patch-cnn", widths=(8, 12))[0], sigma=0.25, num_classes=7)
    g.save(tmp_path / "model.pt")
    again = SmoothedClassifier.load(tmp_path / "model.pt")
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(g.base.eval()(x), again.base(x))


@pytest.mark.parametrize(
    ("option", "value"),
    [("widths", (8, 16)), ("patch_width", 12), ("in_channels", 2), ("residual", True)],
)
def test_each_option_changes_the_model(option, value):
    before, after = (
        [layer.weight.shape for layer in layers(MODELS.create("patch-cnn", **options), nn.Conv2d)]
        for options in ({}, {option: value})
    )
    assert before != after


@pytest.mark.parametrize("option", [{"widths": (8, 0)}, {"patch_width": 0}])
def test_widths_below_one_are_refused(option):
    with pytest.raises(ValueError, match=r"expected .*width.* >= 1, got 0"):
        MODELS.create("patch-cnn", **option)
