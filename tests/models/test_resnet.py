"""CIFAR ResNets: a second reading of the paper, sizes of the published ones, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsmooth.models import CifarResNet
from rsmooth.registry import MODELS
from tests.models.helpers import count_multiply_adds


@pytest.mark.parametrize(
    ("name", "shape", "parameters", "multiply_adds"),
    [
        ("resnet20", (1, 3, 32, 32), 272_474, 40.8e6),
        ("resnet110", (1, 3, 32, 32), 1_730_714, 253.1e6),
    ],
)
def test_published_architectures_have_their_size(name, shape, parameters, multiply_adds):
    model = MODELS.create(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert count_multiply_adds(model, torch.rand(shape)) == pytest.approx(multiply_adds, rel=2e-3)


def reference_resnet(net, blocks, x):
    """The same network by functional calls on its state dict: a second reading of the paper."""
    w = net.state_dict()

    def conv_bn(x, conv, bn, stride=1):
        x = nn.functional.conv2d(
            x, w[f"{conv}.weight"], stride=stride, padding=w[f"{conv}.weight"].shape[-1] // 2
        )
        return nn.functional.batch_norm(
            x, w[f"{bn}.running_mean"], w[f"{bn}.running_var"], w[f"{bn}.weight"], w[f"{bn}.bias"]
        )

    x = conv_bn(x, "conv1", "bn1").relu()
    for stage in (1, 2, 3):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            out = conv_bn(
                conv_bn(x, f"{at}.conv1", f"{at}.bn1", stride).relu(), f"{at}.conv2", f"{at}.bn2"
            )
            if stride == 2:
                x = conv_bn(x, f"{at}.downsample.0", f"{at}.downsample.1", 2)
            x = (out + x).relu()
    return nn.functional.linear(
        nn.functional.avg_pool2d(x, 8).flatten(1), w["fc.weight"], w["fc.bias"]
    )


def test_resnet_computes_what_the_paper_says():
    torch.manual_seed(0)
    net = CifarResNet(20).double().eval()
    with torch.no_grad():
        for tensor in net.buffers():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
        x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
        torch.testing.assert_close(net(x), reference_resnet(net, 3, x), atol=1e-10, rtol=0)


def test_convolutions_start_with_the_published_spread():
    """The spread is sqrt(2 / (9 c_out)).

    The largest layer has 36,864 weights: 5 % is 13 standard errors of its deviation.
    """
    torch.manual_seed(0)
    net = CifarResNet(20)
    assert net.layer3[1].conv1.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
    assert net.layer1[1].conv1.weight.std().item() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.08)
    assert net.layer2[0].downsample[0].weight.std().item() == pytest.approx(
        (2 / 32) ** 0.5, rel=0.15
    )


@pytest.mark.parametrize("depth", [2, 7, 9, 21])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match=f"expected a depth of 6n \\+ 2 .* got {depth}"):
        CifarResNet(depth)


@pytest.mark.parametrize(("option", "value"), [("in_channels", 2), ("num_classes", 3)])
@pytest.mark.parametrize("name", ["resnet8", "resnet20", "resnet110"])
def test_each_option_changes_the_model(name, option, value):
    sizes = [
        [p.shape for p in MODELS.create(name, **o).parameters()] for o in ({}, {option: value})
    ]
    assert sizes[0] != sizes[1]


def test_padding_keeps_every_other_pixel_between_zeros():
    block = CifarResNet(8, shortcut="padding").layer2[0]
    x = torch.rand(2, 16, 6, 6)
    kept = block.downsample(x)
    assert kept.shape == (2, 32, 3, 3)
    assert torch.equal(kept[:, 8:24], x[:, :, ::2, ::2])
    assert not kept[:, :8].any()
    assert not kept[:, 24:].any()


def test_a_resnet_of_any_depth_equals_the_named_one():
    torch.manual_seed(0)
    named = MODELS.create("resnet20")
    torch.manual_seed(0)
    general = MODELS.create("cifar-resnet", depth=20)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(named.eval()(x), general.eval()(x))


def test_an_unknown_shortcut_is_refused():
    with pytest.raises(ValueError, match="one of convolution, padding, got 'none'"):
        CifarResNet(8, shortcut="none")
