"""Trained models by name: they load, and answer as their card says; others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsmooth.models import load_model, model_card, shipped_names

pytest.importorskip("safetensors")


@pytest.mark.parametrize("name", shipped_names())
def test_a_model_loads_as_its_card_says(name: str) -> None:
    g, card = load_model(name), model_card(name)
    assert not g.training
    assert g.noise.record() == card["noise"]
    assert sum(own.numel() for own in g.parameters()) == card["parameters"]
    with torch.no_grad():
        log_g = g(torch.rand(2, 3, 32, 32))
    torch.testing.assert_close(log_g.exp().sum(dim=1), torch.ones(2))


def test_an_architecture_is_no_trained_model() -> None:
    with pytest.raises(ValueError, match=r"MODELS\.create\('resnet20'\)"):
        load_model("resnet20")
    with pytest.raises(ValueError, match="expected a model that comes with the package"):
        load_model("nothing")
    with pytest.raises(ValueError, match=r"did you mean cifar10-sigma-0\.25\? See rsmooth list"):
        load_model("cifar10-sigma-025")


@pytest.mark.parametrize(
    "path", ["nope.pt", "nope.pth.tar", "nope.safetensors", "runs/nope", "nope/", Path("nope")]
)
def test_a_path_where_nothing_is_is_no_name(path: str | Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"SmoothedClassifier.save wrote, got .*nope.*path"):
        load_model(path)
