"""The files of a saved classifier: each kind by its path, and refusals that say why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.models.hub_card import FORMAT
from rsmooth.models.saved import architecture_of, read_model, write_model
from rsmooth.registry import MODELS

CONTENT = {
    "format": FORMAT,
    "version": "1.0.0",
    "noise": {"name": "gaussian", "sigma": 0.25},
    "num_classes": 2,
    "num_noise": 4,
    "architecture": {"name": "small-cnn", "options": {}},
    "extra": {},
}


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("model.pt", {"model.pt"}),
        ("m.safetensors", {"m.safetensors"}),
        ("new/", {"new"}),
    ],
)
def test_the_path_says_the_kind_and_the_content_comes_back(
    tmp_path: Path, name: str, files: set[str]
) -> None:
    if name != "model.pt":
        pytest.importorskip("safetensors")
    weights = {"weight": torch.arange(4.0).view(2, 2)}
    write_model(f"{tmp_path}/{name}", weights, CONTENT)
    found = read_model(tmp_path / name)
    assert found.pop("state_dict")["weight"].equal(weights["weight"])
    assert found == CONTENT
    assert {path.name for path in tmp_path.iterdir()} == files


def test_files_of_earlier_versions_have_gaussian_noise(tmp_path: Path) -> None:
    old = {key: value for key, value in CONTENT.items() if key != "noise"}
    write_model(tmp_path / "old.pt", {}, {**old, "sigma": 0.5})
    assert read_model(tmp_path / "old.pt")["noise"] == {"name": "gaussian", "sigma": 0.5}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"format": "another"}, "expected a model written by SmoothedClassifier.save"),
        ({"format": FORMAT, "noise": {}}, "expected architecture, num_classes, num_noise in"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: dict[str, object], words: str) -> None:
    write_model(tmp_path / "other.pt", {}, content)
    with pytest.raises(ValueError, match=words):
        read_model(tmp_path / "other.pt")


def test_a_network_states_its_architecture_or_is_refused() -> None:
    made = MODELS.create("small-cnn", num_classes=2)
    assert architecture_of(made)["name"] == "small-cnn"
    with pytest.raises(ValueError, match=r"expected a base classifier from MODELS\.create"):
        architecture_of(nn.Linear(2, 2))
