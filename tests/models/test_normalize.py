"""Normalisation as the first layer: arithmetic, constants, errors, and that it is saved."""

import pytest
import torch
from torch import nn

from rsmooth.models import NORMALIZATIONS, Classifier, Normalize
from rsmooth.models.normalize import constants_of
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.models.helpers import OWN, build

MEAN, STD = (0.1, 0.5, 0.7), (0.2, 0.25, 0.5)


def test_each_channel_is_centred_and_scaled():
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    out = Normalize(MEAN, STD).double()(x)
    for channel in range(3):
        torch.testing.assert_close(
            out[:, channel], (x[:, channel] - MEAN[channel]) / STD[channel], atol=1e-6, rtol=0
        )


def test_without_std_it_only_centres():
    x = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(Normalize(MEAN)(x), x - torch.tensor(MEAN).view(1, 3, 1, 1))


def test_one_number_serves_every_channel():
    x = torch.rand(1, 3, 2, 2)
    torch.testing.assert_close(Normalize(0.5, 0.25)(x), (x - 0.5) / 0.25)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar10", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ("cifar10-center", (0.4914, 0.4822, 0.4465), None),
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("imagenet-center", (0.485, 0.456, 0.406), None),
    ],
)
def test_named_constants_are_the_published_ones(name, mean, std):
    layer = MODELS.create("resnet8", normalize=name)[0]
    assert layer.mean.flatten().tolist() == pytest.approx(mean)
    assert (None if layer.std is None else layer.std.flatten().tolist()) == (
        std and pytest.approx(std)
    )


def test_the_names_are_complete():
    assert sorted(NORMALIZATIONS) == [
        "cifar10",
        "cifar10-center",
        "cifar100",
        "fashion-mnist",
        "imagenet",
        "imagenet-center",
        "mnist",
        "none",
        "stl10",
        "svhn",
        "tiny-imagenet",
    ]


@pytest.mark.parametrize("normalize", [None, "none"])
def test_none_means_no_normalisation(normalize):
    model = MODELS.create("resnet8", normalize=normalize).eval()
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(model(x), model[1](x))


@pytest.mark.parametrize(
    "normalize",
    ["cifar10", "cifar10-center", (MEAN, STD), [list(MEAN), list(STD)], (MEAN,), (0.5,)],
)
def test_the_constants_are_in_the_state_dict_and_act(normalize):
    model = MODELS.create("resnet8", normalize=normalize).eval()
    assert "0.mean" in model.state_dict()
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(model(x), model[1](model[0](x)))
    assert not torch.allclose(model(x), model[1](x))
    assert not list(model[0].parameters()), "constants are not trained"


@pytest.mark.parametrize(
    ("normalize", "message"),
    [
        ("cifar", "expected normalize to be one of none, cifar10, .*got 'cifar'"),
        (((0.5, 0.5), (0.2, 0.2)), "expected normalisation constants for 3 channel"),
        ((MEAN, (0.2, 0.0, 0.2)), "expected std > 0"),
        ((MEAN, (0.2, 0.2)), "expected as many means as stds, got 3 and 2"),
        (((0.5, float("nan"), 0.5),), "expected mean as finite numbers"),
        (((),), "expected mean as finite numbers"),
        ((MEAN, STD, STD), "expected normalize to be a name, "),
        (0.5, "expected normalize to be a name, "),
    ],
)
def test_wrong_constants_are_refused(normalize, message):
    with pytest.raises(ValueError, match=message):
        MODELS.create("resnet8", normalize=normalize)


def test_classifier_keeps_the_published_key_layout():
    model = Classifier(nn.Linear(2, 2), None, in_channels=1)
    assert list(model.state_dict()) == ["1.weight", "1.bias"]


def test_images_of_another_number_of_channels_are_not_broadcast() -> None:
    with pytest.raises(ValueError, match="expected images of 3 channels, got"):
        Normalize((0.4, 0.5, 0.6))(torch.rand(2, 1, 8, 8))
    assert Normalize(0.5)(torch.rand(2, 3, 8, 8)).shape == (2, 3, 8, 8)


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
    """Also the round trip through a file: the same bits from a model built from it alone."""
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


@pytest.mark.parametrize(
    ("text", "constants"),
    [
        ("cifar10", "cifar10"),
        ("0.5", ((0.5,),)),
        ("0.5:0.25", ((0.5,), (0.25,))),
        ("0.485, .456,0.406:0.2,0.2,1", ((0.485, 0.456, 0.406), (0.2, 0.2, 1.0))),
        ("0.5:0.5:0.5", "0.5:0.5:0.5"),
        ("0.5,x", "0.5,x"),
    ],
)
def test_constants_as_a_command_line_names_them(text, constants):
    assert constants_of(text) == constants
