"""Checkpoints of registered networks that take no normalisation as an option."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.models import Classifier, Normalize, load_checkpoint
from rsmooth.models.own_networks import head_of, normalizes_itself, sizes_of
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

X = torch.linspace(0, 1, 2 * 3 * 4 * 4).view(2, 3, 4, 4)
PAIR = ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


class Own(nn.Module):
    """It subtracts a mean of its own, which is no part of its weights."""

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.conv(x - 0.5).flatten(1))
        return logits


def with_layer(num_classes: int = 10) -> nn.Module:
    """A normalising layer of ours, whose constants are among the weights."""
    return nn.Sequential(Normalize(*PAIR), Own(num_classes))


def classifier(num_classes: int = 10) -> Classifier:
    return Classifier(Own(num_classes), PAIR, 3)


def fixed(width: int = 16) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, width), nn.Linear(width, 7))


def picky(width: int) -> nn.Module:
    return fixed(width)


ENTRIES = {"own": Own, "layer": with_layer, "classifier": classifier, "fixed": fixed}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for name, entry in {**ENTRIES, "picky": picky}.items():
        MODELS.register(f"test-{name}")(entry)
    yield
    for name in (*ENTRIES, "picky"):
        MODELS._entries.pop(f"test-{name}")


def written(path: Path, weights: dict[str, Tensor], prefix: str = "", **beside: Any) -> Path:
    torch.save({"state_dict": {prefix + key: w for key, w in weights.items()}, **beside}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
@pytest.mark.parametrize("name", ENTRIES)
def test_a_network_of_ones_own_is_loaded_without_a_normalisation(
    name: str, prefix: str, tmp_path: Path
) -> None:
    theirs = ENTRIES[name]()
    path = written(tmp_path / "own.pth", theirs.state_dict(), prefix)
    for given in ({}, {"normalize": None}, {"normalize": "none"}):
        base: Any = load_checkpoint(path, arch=f"test-{name}", **given)
        assert torch.equal(base(X), theirs(X))
        assert not base.training
    assert base.architecture["name"] == f"test-{name}"
    g = SmoothedClassifier(base, sigma=0.25, num_classes=theirs(X).shape[1])
    g.save(tmp_path / "saved.pt")
    again = SmoothedClassifier.load(tmp_path / "saved.pt")
    assert torch.equal(again.base(X), theirs(X))


def test_classes_and_channels_follow_from_the_weights(tmp_path: Path) -> None:
    theirs = Own(num_classes=7, in_channels=1)
    path = written(tmp_path / "own.pth", theirs.state_dict())
    base: Any = load_checkpoint(path, arch="test-own", num_classes=7)
    assert base.architecture["options"] == {"num_classes": 7, "in_channels": 1}
    assert torch.equal(base(X[:, :1]), theirs(X[:, :1]))
    with pytest.raises(ValueError, match="expected a model of 10 classes, got 7 in"):
        load_checkpoint(path, arch="test-own", num_classes=10)


def test_a_classifier_takes_the_weights_of_its_network_alone(tmp_path: Path) -> None:
    theirs = Own(num_classes=7)
    base = load_checkpoint(
        written(tmp_path / "own.pth", theirs.state_dict()), arch="test-classifier"
    )
    assert torch.equal(base(X), Classifier(theirs, PAIR, 3)(X))


@pytest.mark.parametrize("given", ["cifar10", PAIR, ((0.5,),)])
def test_a_normalisation_that_it_could_not_be_given_is_refused(given: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "own.pth", Own().state_dict())
    with pytest.raises(ValueError, match="no normalisation for test-own, which takes none, got"):
        load_checkpoint(path, arch="test-own", normalize=given)


def test_constants_beside_a_network_without_such_a_layer_are_refused(tmp_path: Path) -> None:
    theirs = nn.Sequential(Normalize(*PAIR), Own())
    path = written(tmp_path / "own.pth", theirs.state_dict())
    with pytest.raises(ValueError, match=r"fit Own exactly, got from .*: unexpected 0.mean, 0.std"):
        load_checkpoint(path, arch="test-own")


def test_a_network_that_needs_options_is_built_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path / "own.pth", fixed(5).state_dict())
    with pytest.raises(ValueError, match=r"needs no further options, got 'test-picky' .*load_weig"):
        load_checkpoint(path, arch="test-picky")
    with pytest.raises(ValueError, match=r"wrong shape 1.weight: expected \(16, 48\)"):
        load_checkpoint(path, arch="test-fixed")


def test_what_weights_tell_of_a_network() -> None:
    assert normalizes_itself("test-own")
    assert not normalizes_itself("small-cnn")
    assert head_of(Own()) == "fc.weight"
    assert head_of(nn.Linear(2, 2)) == head_of(nn.ReLU()) == "weight"
    assert sizes_of(Own(), Own().state_dict()) == {"num_classes": 10}
    assert sizes_of(with_layer(), with_layer(6).state_dict()) == {"num_classes": 6}
    assert sizes_of(nn.ReLU(), {}) == {}
