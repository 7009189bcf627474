"""The files of a saved classifier: each kind by its path, and refusals that say why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.defenses import Trainer
from rsmooth.models.hub_card import FORMAT
from rsmooth.models.saved import architecture_of, read_model, write_model
from rsmooth.noise import Gaussian, NoiseDistribution
from rsmooth.registry import MODELS, NOISES, note_layers
from rsmooth.smoothed import SmoothedClassifier

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


@pytest.mark.parametrize("noise", [NOISES.get(name)(0.3) for name in NOISES.own_names()], ids=str)
def test_a_saved_classifier_keeps_its_noise(noise: NoiseDistribution, tmp_path: Path) -> None:
    base = MODELS.create("small-cnn", in_channels=1, num_classes=4)
    SmoothedClassifier(base, noise=noise, num_classes=4).save(tmp_path / "g.pt")
    content = torch.load(tmp_path / "g.pt", weights_only=True)
    assert content["noise"] == noise.record()
    assert ("sigma" in content) == isinstance(noise, Gaussian)
    assert SmoothedClassifier.load(tmp_path / "g.pt").noise == noise
    assert SmoothedClassifier(base, noise=noise, num_classes=4).around(base).noise == noise


def test_a_classifier_that_is_loaded_in_inference_mode_can_be_trained(tmp_path: Path) -> None:
    base = MODELS.create("small-cnn", in_channels=1, num_classes=4)
    SmoothedClassifier(base, 0.25, 4).save(tmp_path / "g.pt")
    with torch.inference_mode():
        g = SmoothedClassifier.load(tmp_path / "g.pt")
    assert not any(own.is_inference() for own in g.state_dict().values())
    assert all(own.requires_grad for own in g.parameters())


def test_a_base_without_a_known_architecture_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MODELS\.create"):
        SmoothedClassifier(nn.Linear(12, 3), sigma=0.1, num_classes=3).save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_no_fault_of_the_file(tmp_path: Path) -> None:
    SmoothedClassifier(MODELS.create("resnet8"), 0.25, 10).save(tmp_path / "g.pt")
    with pytest.raises(RuntimeError, match="device"):
        SmoothedClassifier.load(tmp_path / "g.pt", map_location="nowhere")


def test_an_incomplete_file_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    torch.save({"format": "rsmooth-model-1", "num_classes": 4}, tmp_path / "g.pt")
    with pytest.raises(ValueError, match="expected architecture, noise, num_noise, state_dict in"):
        SmoothedClassifier.load(tmp_path / "g.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("noise", {"name": "gaussian", "sigma": "wide"}),
        ("noise", 3),
        ("noise", {"name": "cauchy"}),
        ("num_classes", "ten"),
        ("num_classes", [1]),
        ("num_noise", None),
        ("architecture", {}),
        ("architecture", 3),
        ("architecture", {"name": "nobody", "options": {}}),
        ("architecture", {"name": "resnet8", "options": {"depth": 3}}),
        ("architecture", {"name": "resnet8", "options": 3}),
        ("state_dict", None),
        ("state_dict", [1]),
    ],
)
def test_a_model_file_with_entries_of_other_types_is_named(
    key: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    SmoothedClassifier(MODELS.create("resnet8"), 0.25, 10).save(path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, key: value}, path)
    if key == "noise":
        del content["sigma"]
        torch.save({**content, key: value}, path)
    with pytest.raises(ValueError, match=r"expected .*model\.pt"):
        SmoothedClassifier.load(path)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.Linear])
def test_a_base_that_was_changed_after_its_creation_is_not_saved_as_another(
    kind: type[nn.Module], tmp_path: Path
) -> None:
    """The file would rebuild the network that the noted options make."""
    base = MODELS.create("mlp", num_classes=3, image_size=8, in_channels=1, hidden=(4,))
    at = next(name for name, layer in base.named_modules() if isinstance(layer, kind))
    base.set_submodule(at, nn.Tanh() if kind is nn.ReLU else nn.Linear(64, 5))
    g = SmoothedClassifier(base, 0.25, 3)
    with pytest.raises(ValueError, match=r"changed after MODELS\.create"):
        g.save(tmp_path / "model.pt")
    pixels, labels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 3
    with pytest.raises(ValueError, match=r"changed after MODELS\.create"):
        Trainer(epochs=1).fit(g, (pixels, labels), run_dir=tmp_path / "run", progress=False)
    assert not list(tmp_path.glob("**/model.pt"))
    with pytest.raises(ValueError, match=r"from MODELS\.create"):
        architecture_of(MODELS.create("ensemble", members=[base, base]))


def test_a_changed_option_that_is_not_printed_is_seen_too() -> None:
    base = nn.Sequential(nn.AvgPool2d(2, padding=1), nn.Flatten())
    base.architecture = {"name": "pooled", "options": {}}  # type: ignore[assignment]
    note_layers(base)
    assert architecture_of(base) == base.architecture
    printed = repr(base)
    base[0].count_include_pad = False
    assert repr(base) == printed
    with pytest.raises(ValueError, match=r"changed after MODELS\.create"):
        architecture_of(base)
