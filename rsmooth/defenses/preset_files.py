"""Named sets of Trainer options, kept as data: the YAML files of the folder presets."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

FOLDER = resources.files("rsmooth.defenses") / "presets"


def preset_names() -> list[str]:
    """The names of all presets."""
    files = FOLDER.iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def preset(name: str) -> dict[str, Any]:
    """The options of a preset, as keyword arguments of any Trainer; an unknown name raises
    ValueError.
    """
    if name not in preset_names():
        raise ValueError(f"expected a preset among {', '.join(preset_names())}, got {name!r}")
    text = FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    options: dict[str, Any] = yaml.safe_load(text)
    return options
