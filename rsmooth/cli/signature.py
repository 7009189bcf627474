"""The options of a verb, read from its signature and docstrings, and a call with them by name.

A parameter that is a dataclass makes each of its fields an option. So options that verbs share are
declared, described and checked in one place. Where several have the same name, the verb's own
parameter counts, then the field of the first dataclass.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsmooth.plumbing.names import close_names, unknown_option
from rsmooth.plumbing.values import (
    Names,
    Numbers,
    OnePath,
    Paths,
    PixelValue,
    PixelValues,
    Switch,
    WholeNumber,
    one_path,
    paths,
)

REQUIRED = inspect.Parameter.empty
READ_AS: dict[Any, Any] = {
    bool: Switch,
    int: WholeNumber,
    float: PixelValue,
    Path: OnePath,
    Sequence[float]: PixelValues,
    Sequence[int]: Numbers,
    Sequence[str]: Names,
    Sequence[Path]: Paths,
}
"""The type by which the parser reads an annotation; its refusals are in our own words."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One option: its type as the parser reads it, and the verb's parameter that it belongs to.

    choices: the texts that it takes; none where it takes more than these.
    """

    name: str
    kind: Any
    default: Any
    help: str
    parameter: str
    choices: tuple[str, ...] = ()


def options_of(verb: Callable[..., Any]) -> list[Option]:
    """All options of a verb, in the order of its parameters.

    [option.name for option in options_of(certify)]
    """
    hints, own = typing.get_type_hints(verb), inspect.signature(verb).parameters
    found: dict[str, Option] = {}
    plain = {name for name in own if not dataclasses.is_dataclass(hints[name])}
    texts = described([inspect.getdoc(verb) or ""], plain)
    for name, parameter in own.items():
        if name in plain:
            found[name] = Option(
                name,
                read_as(hints[name]),
                parameter.default,
                texts.get(name, ""),
                name,
                choices_of(hints[name]),
            )
            continue
        for option in _fields(hints[name], name):
            if option.name not in plain:
                found.setdefault(option.name, option)
    return list(found.values())


def call(verb: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call a verb with its options by name, as in a command line or a YAML file.

        call(certify, {"source": Path("runs/a"), "n": 1000, "mode": "radius", "radius": 0.5})

    ValueError for an option that it does not have, for one that it needs and does not get, and for
    None where that is no value of the option.
    """
    options = {option.name: option for option in options_of(verb)}
    _check_names(verb.__name__, given, options)
    hints = typing.get_type_hints(verb)
    groups = {
        name: hints[name]
        for name in inspect.signature(verb).parameters
        if dataclasses.is_dataclass(hints[name])
    }
    of_groups: dict[str, dict[str, Any]] = {name: {} for name in groups}
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        placed = _placed(value, options[name].kind)
        of_groups.get(options[name].parameter, arguments)[name] = placed
    made = {name: group(**of_groups[name]) for name, group in groups.items()}
    return verb(**arguments, **made)


def _placed(value: Any, kind: Any) -> Any:
    """What names a file or folder as a path, which YAML has not: there it is a text."""
    kinds = {kind, *typing.get_args(kind)}
    if OnePath in kinds and isinstance(value, str):
        return one_path(value)
    return paths(value) if Paths in kinds and isinstance(value, (str, list, tuple)) else value


def _check_names(verb: str, given: Mapping[str, Any], options: Mapping[str, Option]) -> None:
    for name in given:
        if name not in options:
            raise ValueError(unknown_option(name, options, verb))
    missing = [
        name for name, option in options.items() if option.default is REQUIRED and name not in given
    ]
    if missing:
        raise ValueError(f"expected {' and '.join(missing)}, got none; add it")
    for name, value in given.items():
        # Of a single choice the verb itself knows best what else was meant.
        if value is None and type(None) not in typing.get_args(options[name].kind):
            raise ValueError(f"expected a value of {name}, got null; leave it out for its default")
        choices = options[name].choices
        if len(choices) > 1 and value is not None and str(value) not in choices:
            close = close_names(str(value), choices, most=1)
            raise ValueError(
                f"expected {name} to be one of {', '.join(choices)}, got {value!r}"
                + (f"; did you mean {close[0]}?" if close else "; choose one of them")
            )


def described(documents: Sequence[str], names: set[str]) -> dict[str, str]:
    """What docstrings say of each name, as ``name: text`` at the start of a line or sentence.

    Several names may share a text. Of one that is only mentioned (``name``) within the text of
    another, that other is named. The first docstring that speaks of a name counts.
    """
    texts: dict[str, str] = {}
    for document in documents:
        for name, text in _paragraphs(document, names):
            texts.setdefault(name, text)
    for name in names - set(texts):
        beside = [other for other, text in texts.items() if f"``{name}``" in text]
        if beside:
            texts[name] = f"see {beside[0]}"
    return texts


def read_as(hint: Any) -> Any:
    """The type by which the parser reads an annotation; the choices of a Literal are texts."""
    if typing.get_origin(hint) is typing.Literal:
        return str
    if hint in READ_AS:
        return READ_AS[hint]
    if type(None) in typing.get_args(hint):
        return typing.Optional[  # noqa: UP045
            typing.Union[tuple(read_as(each) for each in typing.get_args(hint))]  # noqa: UP007
        ]
    return hint


def choices_of(hint: Any) -> tuple[str, ...]:
    """The texts of a Literal, also of one that may be None; empty for any other annotation.

    choices_of(Literal["last", "best"] | None)      # ("last", "best")
    """
    if typing.get_origin(hint) is typing.Literal:
        return tuple(map(str, typing.get_args(hint)))
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return choices_of(kinds[0]) if union and len(kinds) == 1 else ()


def _fields(group: Any, parameter: str) -> Iterator[Option]:
    hints = typing.get_type_hints(group)
    fields = [field for field in dataclasses.fields(group) if field.init]
    documents = [each.__doc__ or "" for each in group.__mro__ if dataclasses.is_dataclass(each)]
    texts = described(documents, {field.name for field in fields})
    for field in fields:
        if not field.metadata.get("on the command line", True):
            continue
        hint = hints[field.name]
        default = REQUIRED if field.default is dataclasses.MISSING else field.default
        yield Option(
            field.name,
            read_as(hint),
            default,
            texts.get(field.name, ""),
            parameter,
            choices_of(hint),
        )


def _paragraphs(document: str, names: set[str]) -> Iterator[tuple[str, str]]:
    if not names:
        return
    one = "(?:" + "|".join(sorted(map(re.escape, names), key=len, reverse=True)) + ")"
    start = re.compile(rf"(?:^|(?<=[;.])\s|\n)\s*({one}(?:, {one})*):\s")
    for part in re.split(r"\n\s*\n", inspect.cleandoc(document)):
        found = list(start.finditer(part))
        ends = [*(match.start() for match in found[1:]), len(part)]
        for match, end in zip(found, ends, strict=False):
            text = " ".join(part[match.end() : end].split())
            text = re.split(r"(?<=[.;]) (?=\w*Error\b|Raises\b)", text)[0].rstrip(".;")
            for name in match[1].split(", "):
                yield name, text
