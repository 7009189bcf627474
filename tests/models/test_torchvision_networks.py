"""Classifiers of torchvision by name: their own normalisation, heads, and a file that travels."""

from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
from torchvision import models

from rsmooth import SmoothedClassifier
from rsmooth.registry import MODELS
from rsmooth.testing import check_model


def test_a_network_keeps_the_contract_of_models() -> None:
    check_model(
        MODELS.create("torchvision", model="mobilenet_v3_small", num_classes=7), (3, 32, 32)
    )


def test_it_is_torchvisions_network_behind_the_transforms_of_its_weights() -> None:
    base = MODELS.create("torchvision", name="shufflenet_v2_x0_5").eval()
    net = models.shufflenet_v2_x0_5(weights=None).eval()
    net.load_state_dict(base[1].state_dict())
    stated = models.ShuffleNet_V2_X0_5_Weights.DEFAULT.transforms()
    mean, std = (torch.tensor(values)[:, None, None] for values in (stated.mean, stated.std))
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(base(x), net((x - mean) / std))
    assert base.architecture["options"]["num_classes"] == 1000


def test_a_network_for_one_size_takes_another_at_its_start() -> None:
    base = MODELS.create("torchvision", model="vit_b_32", num_classes=3, image_size=32)
    assert base.architecture["options"]["image_size"] == 32
    assert base(torch.rand(2, 3, 32, 32)).shape == (2, 3)


def pretrained_like(**options):
    """What get_model returns for published weights, with random ones in their place."""
    real = models.get_model

    def get_model(model, weights=None, **given):
        assert weights is not None
        assert "num_classes" not in given
        return real(model, weights=None, **given, **options)

    return get_model


def test_pretrained_weights_get_a_fresh_last_layer_for_other_classes(monkeypatch) -> None:
    monkeypatch.setattr(models, "get_model", pretrained_like())
    base = MODELS.create(
        "torchvision", model="shufflenet_v2_x0_5", num_classes=7, pretrained=True
    ).eval()
    monkeypatch.undo()
    assert base(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert "pretrained" not in base.architecture["options"]
    check_model(base, (3, 32, 32))  # rebuilt without a download


def test_options_that_published_weights_bring_are_kept(monkeypatch, tmp_path) -> None:
    """Googlenet's weights normalise within the network, and its training had further heads."""
    brought = {"transform_input": True, "aux_logits": True, "init_weights": False}
    monkeypatch.setattr(models, "get_model", pretrained_like(**brought))
    base = MODELS.create("torchvision", model="googlenet", num_classes=4, pretrained=True)
    monkeypatch.undo()
    assert base.architecture["options"]["transform_input"] is True
    assert base.train()(torch.rand(2, 3, 64, 64)).shape == (2, 4)
    g = SmoothedClassifier(base.eval(), sigma=0.25, num_classes=4)
    g.save(tmp_path / "model.pt")
    loaded = SmoothedClassifier.load(tmp_path / "model.pt")
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.base(x), base(x))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "resnet81"}, "expected a network of torchvision, got 'resnet81'; did you mean"),
        ({"model": "fasterrcnn_resnet50_fpn"}, "expected a network of torchvision"),
        ({"model": "resnet18", "in_channels": 1}, r"in_channels=3 .*MODELS\.create\('timm'"),
        ({"model": "resnet18", "depth": 3}, "expected options that torchvision takes for"),
        ({"model": "vit_b_32", "image_size": 33}, "AssertionError"),
    ],
)
def test_what_does_not_fit_is_refused(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        MODELS.create("torchvision", **options)


def test_weights_that_cannot_be_fetched(monkeypatch) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(models, "get_model", fetch)
    with pytest.raises(OSError, match=r"fetch the weights of torchvision 'resnet18'.*no route"):
        MODELS.create("torchvision", model="resnet18", pretrained=True)
