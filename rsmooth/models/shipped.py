"""The trained models that come with the package: their names, files and cards. No torch here."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from rsmooth.models.hub_card import read_card
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.names import close_names
from rsmooth.plumbing.paths import user_path

FOLDER = Path(str(resources.files("rsmooth.models"))) / "shipped"


def shipped_names(folder: Path | None = None) -> list[str]:
    """The names of the models that come with the package, in alphabetical order.

        shipped_names()

    folder: where else to look, with a .safetensors and a .yaml file for each model.
    """
    return sorted(path.stem for path in (folder or FOLDER).glob("*.yaml"))


def is_shipped(name: str) -> bool:
    """Whether a model of this name comes with the package."""
    return name in shipped_names()


def model_card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """What is known about a shipped model: noise, training, certified accuracy, hashes.

        model_card(shipped_names()[0])["certified"]

    name: also a folder that ``SmoothedClassifier.save`` wrote. ValueError for an unknown name.
    """
    if name not in shipped_names(folder) and user_path(name).is_dir():
        return read_card(name)
    content: dict[str, Any] = yaml.safe_load(card_text(name, folder))
    return content


def card_text(name: str, folder: Path | None = None) -> str:
    """The card of a shipped model as the text that people read; errors as of ``model_card``."""
    known = shipped_names(folder)
    if name not in known:
        close = close_names(name, known, most=1)
        meant = f"did you mean {close[0]}? See" if close else "see"
        raise ValueError(
            f"expected a model that comes with the package ({', '.join(known) or 'none does'}), "
            f"got {name!r}; {meant} rsmooth list models"
        )
    return ((folder or FOLDER) / f"{name}.yaml").read_text(encoding="utf-8")


def shipped_file(name: str, folder: Path | None = None) -> Path:
    """The file with the weights of a shipped model.

        shipped_file(shipped_names()[0])

    ValueError for an unknown name. RecordError where the file is not the one that its card names:
    then none of the card's certificates would be of it.
    """
    card = model_card(name, folder)
    path = (folder or FOLDER) / f"{name}.safetensors"
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
    if found != card["sha256"]:
        raise RecordError(
            f"expected the weights that {name}.yaml is about in {path} (sha256 {card['sha256']}), "
            f"got {found}; install rsmooth again"
        )
    return path
