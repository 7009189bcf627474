"""Every registered model, and the sizes of the published ones."""

import pytest
import torch
from torch import nn

from rsmooth.models import CifarResNet, replace_head
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

# Options that make an entry small enough for a test; an entry not named here is built with none.
SMALL = {
    "resnet110": {"in_channels": 1},
    "mlp": {"in_channels": 1, "image_size": 16},
    "resnet50": {},
    "resnet9": {"in_channels": 1, "width": 8},
}
OWN = MODELS.own_names()


def build(name, **options):
    options = {**SMALL.get(name, {"in_channels": 1}), "num_classes": 7, **options}
    torch.manual_seed(0)
    channels = options.get("in_channels", 3)
    return MODELS.create(name, **options), torch.rand(4, channels, 16, 16)


@pytest.mark.parametrize("name", OWN)
def test_every_model_builds_runs_and_differentiates(name):
    model, x = build(name)
    assert model(x).shape == (4, 7)
    x.requires_grad_()
    model.eval()(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", OWN)
def test_every_model_normalises_and_remembers_it(name, tmp_path):
    """Also the round trip through a file: same outputs, to the bit, from a model built from the
    file alone.
    """
    model, x = build(name, normalize=(0.3, 0.6))
    g = SmoothedClassifier(model, sigma=0.5, num_classes=7).eval()
    g.save(tmp_path / "model.pt")
    torch.manual_seed(99)
    loaded = SmoothedClassifier.load(tmp_path / "model.pt")
    assert loaded.base.architecture == model.architecture
    assert loaded.base[0].mean.item() == pytest.approx(0.3)
    with torch.no_grad():
        assert torch.equal(loaded.base(x), model(x))
        torch.testing.assert_close(model(x), model[1]((x - 0.3) / 0.6))


def count_multiply_adds(model, x):
    total = 0

    def count(layer, _, out):
        nonlocal total
        weights_per_output = layer.weight.numel() // layer.weight.shape[0]
        total += out.numel() * weights_per_output

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(x)
    return total


@pytest.mark.parametrize(
    ("name", "shape", "parameters", "multiply_adds"),
    [
        ("resnet20", (1, 3, 32, 32), 272_474, 40.8e6),
        ("resnet110", (1, 3, 32, 32), 1_730_714, 253.1e6),
        ("resnet50", (1, 3, 224, 224), 25_557_032, 4.087e9),
    ],
)
def test_published_architectures_have_their_size(name, shape, parameters, multiply_adds):
    model = MODELS.create(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert count_multiply_adds(model, torch.rand(shape)) == pytest.approx(multiply_adds, rel=2e-3)


def reference_resnet(net, blocks, x):
    """The same network from functional calls on its state dict: a second reading of the
    architecture.
    """
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
    """The spread is sqrt(2 / (9 c_out)); the largest layer has 36,864 weights: 5 % is 13 standard
    errors of its std.
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


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("small-cnn", "width", 8),
        ("resnet9", "width", 16),
        ("mlp", "hidden", (5, 6)),
        ("small-cnn", "in_channels", 2),
        ("resnet8", "in_channels", 2),
        ("mlp", "image_size", 4),
        ("resnet8", "num_classes", 3),
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
    with pytest.raises(ValueError, match="expected width >= 1, got 0"):
        MODELS.create("resnet9", width=0)


@pytest.mark.parametrize("name", OWN)
def test_replace_head_keeps_all_but_the_last_layer(name):
    model, x = build(name)
    model = model.double().eval()
    fresh = replace_head(model, 3)
    assert fresh(x.double()).shape == (4, 3)
    assert model(x.double()).shape == (4, 7), "the model itself is left alone"
    old, new = model.state_dict(), fresh.state_dict()
    changed = [key for key in old if old[key].shape != new[key].shape]
    assert len(changed) == 2
    assert all(torch.equal(old[key], new[key]) for key in old if key not in changed)
    assert fresh.architecture == {
        "name": name,
        "options": {**model.architecture["options"], "num_classes": 3},
    }
    assert model.architecture["options"]["num_classes"] == 7


def test_a_model_with_another_head_is_saved_with_it(tmp_path):
    model, x = build("resnet8")
    fresh = replace_head(model, 3)
    SmoothedClassifier(fresh.eval(), 0.25, 3).save(tmp_path / "model.pt")
    loaded = SmoothedClassifier.load(tmp_path / "model.pt")
    with torch.no_grad():
        assert torch.equal(loaded.base(x), fresh(x))


def test_replace_head_needs_a_head():
    with pytest.raises(
        ValueError, match="expected a model with a linear layer to replace, got Sequential"
    ):
        replace_head(nn.Sequential(nn.Conv2d(3, 3, 1)), 10)
