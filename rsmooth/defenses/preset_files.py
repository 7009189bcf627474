"""Presets: named lists of a trainer's options, kept as the YAML files of the folder presets."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

FOLDER = resources.files("rsmooth.defenses") / "presets"


def preset_names() -> list[str]:
    """The names of all presets, in alphabetical order.

        preset_names()      # ["digits", "fast", "finetune", "overnight", "paper"]

    They are the values of ``rsmooth train --preset``.
    """
    files = FOLDER.iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def preset(name: str) -> dict[str, Any]:
    """The options of a preset, as keyword arguments of any trainer.

        trainer = SmoothAdv(**{**preset("fast"), "attack": SmoothAdvPGD(epsilon=0.5, steps=2)})

    name: one of ``preset_names()``; ValueError otherwise.
    """
    if name not in preset_names():
        raise ValueError(f"expected a preset among {', '.join(preset_names())}, got {name!r}")
    text = FOLDER.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    options: dict[str, Any] = yaml.safe_load(text)
    return options
