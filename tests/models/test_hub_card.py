"""The card of a folder for the Hub: it belongs to its weights, and says what is certified."""

from __future__ import annotations

import json

import pytest
import yaml

from rsmooth.models.hub_card import read_card, read_config, readme
from rsmooth.plumbing.errors import RecordError

CARD = {
    "format": "rsmooth-model-1",
    "version": "0.1",
    "noise": {"name": "gaussian", "sigma": 0.25},
    "num_classes": 10,
    "architecture": {"name": "mlp", "options": {"image_size": 8, "normalize": None, "odd": "a|b"}},
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}
ENTRY = {
    "dataset": {"name": "digits", "split": "test", "images": 20},
    "statement": {"norm": "l2", "kind": "probabilistic", "alpha": 0.001},
    **{"mode": "fixed", "n0": 100, "n": 1000, "seed": 0},
    "accuracy": {"0": [80.0, 8.94], "0.25": [50.0, 11.18]},
    "acr": [0.1234, 0.0456],
    "abstained": 3,
}


def write(folder, card=CARD, weights=b""):
    (folder / "config.json").write_text(json.dumps(card))
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def test_a_card_is_read_with_its_weights(tmp_path) -> None:
    assert read_card(write(tmp_path)) == CARD
    with pytest.raises(RecordError, match=r"expected the weights that .*config\.json is about"):
        read_card(write(tmp_path, weights=b"x"))
    assert read_config(tmp_path) == CARD
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(RecordError, match="got no such file"):
        read_card(tmp_path)


def test_folders_of_others_are_named(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"expected config\.json and model\.safetensors"):
        read_card(tmp_path)
    (tmp_path / "model.pt").touch()
    with pytest.raises(ValueError, match=r"name .*model\.pt"):
        read_card(tmp_path)
    with pytest.raises(ValueError, match=r'MODELS\.create\("hf", model=.*, pretrained=True\)'):
        read_card(write(tmp_path, {"model_type": "resnet"}))
    with pytest.raises(ValueError, match="one of others; name a folder"):
        read_card(write(tmp_path, [1]))
    (tmp_path / "config.json").write_bytes(b"\xff{")
    with pytest.raises(RecordError, match="expected JSON"):
        read_card(tmp_path)


def test_the_readme_is_a_model_card() -> None:
    _, front, body = readme({**CARD, "certified": [ENTRY]}).split("---\n", 2)
    said = yaml.safe_load(front)
    assert said["library_name"] == "rsmooth"
    assert "license" not in said
    assert "name=gaussian, sigma=0.25" in body
    assert "a\\|b" in body
    assert "each wrong with probability at most 0.001; mode=fixed, n0=100, n=1000, seed=0" in body
    assert "| 0.25 | 50.00 ± 11.18 |" in body
    assert "Average certified radius 0.1234 ± 0.0456" in body
    assert "Nothing has been certified" not in body
    assert "in floating point" not in body
    assert "in floating point" in readme({**CARD, "certified": [{**ENTRY, "float_noise": True}]})
    assert "Nothing has been certified" in readme(CARD)
