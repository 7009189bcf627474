"""Models that come with the package: names, files that fit their cards, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from rsmooth.models.shipped import (
    card_text,
    is_shipped,
    model_card,
    shipped_file,
    shipped_names,
)
from rsmooth.plumbing.errors import RecordError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.safetensors").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"title": "first", "sha256": digest}))
    return tmp_path


def test_a_model_has_name_card_and_file(folder: Path) -> None:
    assert shipped_names(folder) == ["a"]
    assert model_card("a", folder)["title"] == "first"
    assert yaml.safe_load(card_text("a", folder)) == model_card("a", folder)
    assert shipped_file("a", folder) == folder / "a.safetensors"


def test_an_unknown_name_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"comes with the package \(a\), got 'b'; see rsmooth"):
        shipped_file("b", folder)
    assert not is_shipped("b")


@pytest.mark.parametrize("content", [b"other weights", None])
def test_weights_that_the_card_is_not_about_are_refused(
    folder: Path, content: bytes | None
) -> None:
    path = folder / "a.safetensors"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(RecordError, match=r"expected the weights that a\.yaml is about"):
        shipped_file("a", folder)


def test_a_folder_without_models_has_no_names(tmp_path: Path) -> None:
    assert shipped_names(tmp_path / "none") == []
