"""Presets: named lists of a trainer's options, kept as the YAML files of the folder presets.

A file without ``trainer`` is one preset for any trainer. One with it has the published options of a
method: those it always has, those of a data set, and those of a sigma there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from rsmooth.plumbing.names import close_names
from rsmooth.plumbing.values import pixel_value
from rsmooth.plumbing.yaml_text import load_yaml
from rsmooth.registry import ATTACKS

FOLDER = resources.files("rsmooth.defenses") / "presets"


def preset_names() -> list[str]:
    """The names of all presets, in alphabetical order.

        preset_names()      # ["cat-rs-cifar10-0.25", ..., "fast", ..., "stability-cifar10-1.0"]

    They are the values of ``rsmooth train --preset``. Those of a method are METHOD-DATA-SIGMA.
    """
    return sorted(_presets())


def preset(name: str) -> dict[str, Any]:
    """The options of a preset, as keyword arguments of its trainer, or of any.

        trainer = SmoothAdv(**{**preset("fast"), "attack": SmoothAdvPGD(epsilon=0.5, steps=2)})
        trainer = Macer(**preset("macer-cifar10-0.25"))

    name: one of ``preset_names()``; ValueError otherwise.
    """
    options = dict(_named(name)[1])
    if "attack" in options:
        attack = dict(options["attack"])
        attack["epsilon"] = pixel_value(attack["epsilon"])
        options["attack"] = ATTACKS.create(attack.pop("name"), **attack)
    return options


def preset_trainer(name: str) -> str | None:
    """The trainer that a preset is for; None where it is for any.

    preset_trainer("macer-cifar10-0.25")    # "macer"
    """
    return _named(name)[0]


def _named(name: str) -> tuple[str | None, dict[str, Any]]:
    if name not in _presets():
        general = [each for each, (trainer, _) in sorted(_presets().items()) if trainer is None]
        close = close_names(str(name), sorted(_presets()))
        raise ValueError(
            f"expected a preset among {', '.join(general)}, or one of a method such as "
            f"macer-cifar10-0.25, got {name!r}; "
            + (f"did you mean {' or '.join(close)}? " if close else "")
            + "rsmooth.defenses.preset_names() has all"
        )
    return _presets()[name]


@cache
def _presets() -> dict[str, tuple[str | None, dict[str, Any]]]:
    """Trainer and options of every preset by its name."""
    found: dict[str, tuple[str | None, dict[str, Any]]] = {}
    for file in FOLDER.iterdir():
        if file.name.endswith(".yaml"):
            content = load_yaml(file.read_text(encoding="utf-8"))
            stem, trainer = file.name.removesuffix(".yaml"), content.pop("trainer", None)
            each = [(stem, content)] if trainer is None else _of_method(stem, content)
            found |= {name: (trainer, options) for name, options in each}
    return found


def _of_method(stem: str, content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The presets of a method's file: for every data set and sigma in it."""
    always = content.pop("options", {})
    for data, settings in content.items():
        of_data = settings.pop("options", {})
        for sigma, options in settings.items():
            yield f"{stem}-{data}-{sigma}", {**always, **of_data, **options}
