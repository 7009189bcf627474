"""Options within options, such as ``--attack.options.steps``: all of a mapping, not the last one.

The parser of jsonargparse knows one level. Of two options of one mapping it keeps the second, and
one option takes the place of the mapping that a file of --config has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import yaml

from rsmooth.plumbing.yaml_text import load_yaml


class _Deep(NamedTuple):
    """``--part.option.within... text``."""

    part: str
    option: str
    within: list[str]
    text: str


def with_deeper(
    tokens: Sequence[str],
    parts: Iterable[str],
    parsed: Callable[[Sequence[str]], Mapping[str, Any]],
) -> list[str]:
    """The tokens, with the options within an option as one mapping, which comes last.

        deep = ["--attack.name=art", "--attack.options.a=1", "--attack.options.b=2"]
        with_deeper(deep, ["attack"], lambda tokens: {"attack": {"options": {"c": 3}}})
        # ["--attack.name=art", '--attack.options={"c": 3, "a": 1, "b": 2}']

    tokens: as ``expand`` writes them.
    parts: options that name a registered entry.
    parsed: what the parser makes of the tokens without such options, those of files included. They
        join this, and count more, wherever they stand.
    """
    rest, deep = _apart(tokens, set(parts))
    if not deep:
        return rest
    known = parsed(rest)
    mappings: dict[tuple[str, str], dict[str, Any]] = {}
    for part, option, within, text in deep:
        if (part, option) not in mappings:
            mappings[part, option] = _as_mapping(_within(known.get(part), option))
        _put(mappings[part, option], within, _read(text))
    # Not in escapes: YAML reads two of them as two characters, where JSON means one.
    return [
        *rest,
        *(
            f"--{part}.{option}={json.dumps(whole, ensure_ascii=False)}"
            for (part, option), whole in mappings.items()
        ),
    ]


def _apart(tokens: Sequence[str], parts: set[str]) -> tuple[list[str], list[_Deep]]:
    """All other tokens, and the options within options; both in their order."""
    rest: list[str] = []
    deep: list[_Deep] = []
    upcoming = list(tokens)
    while upcoming:
        token = upcoming.pop(0)
        name, equals, value = token.partition("=")
        part, *path = name.removeprefix("--").split(".")
        inner = name.startswith("--") and part in parts and len(path) > 1 and all(path)
        apart = not equals and bool(upcoming) and not upcoming[0].startswith("--")
        if inner and (equals or apart):
            deep.append(_Deep(part, path[0], path[1:], value if equals else upcoming.pop(0)))
        else:
            rest.append(token)
    return rest, deep


def _within(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _as_mapping(value: Any) -> dict[str, Any]:
    """What is known of an option as a mapping that can grow; a text is the name of an entry."""
    if isinstance(value, Mapping):
        return {key: deepcopy(each) for key, each in value.items()}
    return {"name": value} if isinstance(value, str) else {}


def _put(mapping: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *above, last = path
    for key in above:
        mapping[key] = _as_mapping(mapping.get(key))
        mapping = mapping[key]
    mapping[last] = value


def _read(text: str) -> Any:
    """A value as YAML has it; what JSON cannot write, such as a date, stays a text."""
    try:
        value = load_yaml(text)
        json.dumps(value, allow_nan=False)
    except (yaml.YAMLError, TypeError, ValueError):
        return text
    return value
