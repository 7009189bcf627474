"""Named sets of Trainer options, kept as data: the YAML files of this folder."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml


def presets() -> list[str]:
    """The names of all presets."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def preset(name: str) -> dict[str, Any]:
    """The options of a preset, as keyword arguments of any Trainer; an unknown name raises
    ValueError.
    """
    if name not in presets():
        raise ValueError(f"expected a preset among {', '.join(presets())}, got {name!r}")
    text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    options: dict[str, Any] = yaml.safe_load(text)
    return options
