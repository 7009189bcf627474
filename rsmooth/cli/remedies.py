"""Remedies of the library, ``name=value``, as options of the verb at hand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping
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


def in_command_words(
    message: str,
    options: Collection[str],
    parts: Collection[str],
    instead: Mapping[str, str | None] | None = None,
) -> str:
    """A message with the keywords of its remedy as options; what it found stays as it is.

        in_command_words("expected 8 bits, got 9; use arithmetic='float'", ["arithmetic"], [])
        # "expected 8 bits, got 9; use --arithmetic float"

    options: of the verb, without dashes.
    parts: those of them that name a registered entry, whose own options count too.
    instead: as of ``Manner``.

    A keyword that is no option of the verb stays as well.
    """
    found, mark, advice = message.rpartition("; ")

    def option(match: re.Match[str]) -> str:
        place = place_of(match[1], options, parts, instead)
        if place is None:
            return match[0]
        value = (match[2] or "").strip("\"'")
        value = value.lower() if value in ("True", "False", "None") else value
        return f"{place} {value}".rstrip()

    return found + mark + _KEYWORD.sub(option, advice) if mark else message


def place_of(
    name: str,
    options: Collection[str],
    parts: Collection[str],
    instead: Mapping[str, str | None] | None = None,
) -> str | None:
    """Where a verb takes an option: "--alpha", "--trainer.epochs"; None where it does not.

        place_of("epochs", ["sigma", "trainer"], ["trainer"])     # "--trainer.epochs"

    instead: as of ``Manner``.
    """
    if name in options:
        return f"--{name}"
    found = places_of(name, parts, instead)
    return min(found, key=_in_order) if found else None


def places_of(
    name: str, parts: Collection[str], instead: Mapping[str, str | None] | None = None
) -> list[str]:
    """Every option of parts that has this name; first the one that most entries of its part take.

    places_of("epsilon", ["trainer", "attack"])     # ["--attack.epsilon", "--trainer.epsilon"]
    """
    settled = instead or {}
    shares = {part: _share(PARTS[part], name) for part in PARTS if part in parts}
    taken = sorted((part for part in shares if shares[part]), key=lambda part: -shares[part])
    found = [settled.get(f"{part}.{name}", f"--{part}.{name}") for part in taken]
    return [place for place in found if place is not None]


def _in_order(place: str) -> int:
    """Where the part of a place stands among the parts."""
    part = place.removeprefix("--").partition(".")[0]
    return [*PARTS].index(part) if part in PARTS else -1


def _share(registry: Registry, name: str) -> float:
    """The share of entries of ours that take an option of this name."""
    taken = 0
    for entry in (names := registry.own_names()):
        with suppress(Exception):  # of an error, its cause is what counts, and not this
            taken += name in inspect.signature(registry.get(entry)).parameters
    return taken / len(names)
