"""The run folder: whose it is, and in what two configurations differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.config.folder import claim, differing, model_path, read_config


def test_a_name_and_a_mapping_of_it_are_the_same_configuration() -> None:
    old = {"dataset": "digits", "trainer": {"name": "gaussian"}}
    assert differing(old, {"dataset": {"name": "digits"}, "trainer": "gaussian"}) == []
    assert differing(old, {"dataset": {"name": "digits", "seed": 1}, "trainer": "smoothadv"}) == [
        "dataset.seed = 1 where it has None",
        "trainer.name = 'smoothadv' where it has 'gaussian'",
    ]


def test_a_key_that_an_earlier_version_did_not_know_is_null(tmp_path: Path) -> None:
    claim(tmp_path / "run", {"sigma": 0.25, "attack": None})
    claim(tmp_path / "run", {"sigma": 0.25, "noise": None})
    with pytest.raises(ValueError, match=r"sigma = 0\.5 where it has 0\.25"):
        claim(tmp_path / "run", {"sigma": 0.5})
    assert read_config(tmp_path / "run") == {"sigma": 0.25, "attack": None}


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected weights last or best, got 'first'"):
        model_path(tmp_path, "first")
    with pytest.raises(ValueError, match="run rsmooth train first"):
        model_path(tmp_path, "best")
