"""Remedies of the library, ``name=value``, as options of the verb at hand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from contextlib import suppress

from rsmooth.registry import ATTACKS, DATASETS, MODELS, NOISES, TRAINERS, Registry

PARTS: dict[str, Registry] = {
    "trainer": TRAINERS,
    "attack": ATTACKS,
    "dataset": DATASETS,
    "model": MODELS,
    "noise": NOISES,
}
_KEYWORD = re.compile(
    r"""(?<![\w.\-/])([a-z][a-z_0-9]*)=("[^"]*"|'[^']*'|\[[^\]]*\]|[\w./+\-]*[\w/])?"""
)


def in_command_words(message: str, options: Collection[str], parts: Collection[str]) -> str:
    """A message with the keywords of its remedy as options; what it found stays as it is.

        in_command_words("expected 8 bits, got 9; use arithmetic='float'", ["arithmetic"], [])
        # "expected 8 bits, got 9; use --arithmetic float"

    options: of the verb, without dashes.
    parts: those of them that name a registered entry, whose own options count too.

    A keyword that is no option of the verb stays as well.
    """
    found, mark, advice = message.rpartition("; ")

    def option(match: re.Match[str]) -> str:
        place = place_of(match[1], options, parts)
        if place is None:
            return match[0]
        value = (match[2] or "").strip("\"'")
        value = value.lower() if value in ("True", "False", "None") else value
        return f"{place} {value}".rstrip()

    return found + mark + _KEYWORD.sub(option, advice) if mark else message


def place_of(name: str, options: Collection[str], parts: Collection[str]) -> str | None:
    """Where a verb takes an option: "--alpha", "--trainer.epochs"; None where it does not.

    place_of("epochs", ["sigma", "trainer"], ["trainer"])     # "--trainer.epochs"
    """
    if name in options:
        return f"--{name}"
    for part in (each for each in PARTS if each in parts):
        if _taken(PARTS[part], name):
            return f"--{part}.{name}"
    return None


def _taken(registry: Registry, name: str) -> bool:
    """Whether an entry of ours takes an option of this name."""
    for entry in registry.own_names():
        with suppress(Exception):  # of an error, its cause is what counts, and not this
            if name in inspect.signature(registry.get(entry)).parameters:
                return True
    return False
