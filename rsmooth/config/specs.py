"""From a spec to an object: options are checked against the signature of the entry.

    create(ATTACKS, {"name": "pgd", "epsilon": "64/255", "steps": 4})

A spec is a registered name, or a mapping of the name and its options.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any, Union

from rsmooth.plumbing.names import unknown_option
from rsmooth.plumbing.values import pixel_value
from rsmooth.registry import Registry

# Read at run time, under Python 3.10 too.
Spec = Union[str, dict[str, Any]]  # noqa: UP007
"""A registered name, or a mapping of ``name`` and the entry's options."""

_FRACTION = r"[\d.]+/[\d.]+"
_OF_YAML = (type(None), bool, int, float, str, bytes, date, list, tuple, set, Mapping)


def split_spec(spec: Spec, kind: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a spec; ValueError for what is none."""
    if isinstance(spec, str):
        return spec, {}
    options: dict[str, Any] = dict(spec) if isinstance(spec, Mapping) else {}
    name = options.pop("name", None)
    if not isinstance(name, str) or not all(isinstance(key, str) for key in options):
        raise ValueError(
            f"expected the {kind} to have a name, and options with names, got {spec!r}; give it as "
            "NAME or {name: NAME, option: value}"
        )
    return name, options


def create(registry: Registry, spec: Spec, **fixed: Any) -> Any:
    """The entry that ``spec`` names, built with its options and those of the caller (``fixed``).

        create(ATTACKS, {"name": "pgd", "epsilon": "64/255", "steps": 4})

    RegistryError for an unknown name. ValueError for an unknown option, a missing one, or one of
    the wrong type.
    """
    name, options = split_spec(spec, registry.kind)
    entry, owner = registry.get(name), f"{registry.kind} {name!r}"
    options = checked_options(entry, options, owner)
    if missing := missing_options(entry, {*options, *fixed}):
        example = f"--{registry.kind.replace(' ', '')}.{missing[0]}=VALUE"
        raise ValueError(
            f"expected {owner} to be given {' and '.join(missing)}, got "
            f"{', '.join(options) or 'no option'}; add e.g. {example}"
        )
    return registry.create(name, **options, **fixed)


def missing_options(entry: Any, given: Collection[str]) -> list[str]:
    """The options without a default that are not given.

    missing_options(PGD, {"epsilon"})     # ["steps"]
    """
    named = [
        each
        for each in inspect.signature(entry).parameters.values()
        if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    return [each.name for each in named if each.default is each.empty and each.name not in given]


def accepts(entry: Any, option: str) -> bool:
    """Whether the callable ``entry`` takes an option of that name."""
    parameters = inspect.signature(entry).parameters
    return option in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def checked_options(entry: Any, options: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """``options`` with numbers of the types that the entry's annotations ask for.

    ValueError names the option that does not fit.
    """
    hints = hints_of(entry)
    for key in options:
        if not accepts(entry, key):
            raise ValueError(unknown_option(key, inspect.signature(entry).parameters, owner))
    return {
        key: _coerce(value, hints.get(key), f"{owner}, option {key}")
        for key, value in options.items()
    }


def hints_of(entry: Any) -> dict[str, Any]:
    """The annotations of a class or function by option; none where they do not resolve."""
    try:
        # Inherited fields of a dataclass have annotations of other modules than __init__ has.
        fields = dataclasses.is_dataclass(entry)
        return typing.get_type_hints(
            entry.__init__ if inspect.isclass(entry) and not fields else entry
        )
    except (NameError, TypeError, AttributeError):  # annotations of a plug-in may not resolve
        return {}


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """A YAML value as the annotation asks: 64/255 or 1e-3 as float, 3 as int or float.

    So are the items of a list. Other values stay as they are, and so do objects that no YAML has,
    such as modules: the entry knows them.
    """
    if not isinstance(value, _OF_YAML):
        return value
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if union else (hint,)
    if (value is None and type(None) in kinds) or (isinstance(value, bool) and bool in kinds):
        return value
    if all(typing.get_origin(kind) is Sequence for kind in kinds):
        of_items = typing.get_args(kinds[0])[0]
        if not isinstance(value, (list, tuple)):
            example = "[128, 64]" if of_items in (int, float) else "[first, second]"
            raise ValueError(f"{where}: expected a list such as {example}, got {value!r}")
        items = [_coerce(item, of_items, where) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    value = _number(value, kinds, where)
    _check(value, kinds, where)
    if isinstance(value, dict):  # options within an option have no annotations
        return {key: _scalar(item) for key, item in value.items()}
    return value


def _number(value: Any, kinds: Sequence[Any], where: str) -> Any:
    """A number, or a text that is to be one, as the number that is asked for."""
    fraction = isinstance(value, str) and re.fullmatch(_FRACTION, value)
    if None in kinds and fraction:  # an option that **options takes
        return float(pixel_value(value))
    if isinstance(value, str) and str not in kinds and float in kinds:
        try:
            return float(pixel_value(value))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and int not in kinds
        and float in kinds
    ):
        return float(value)
    if isinstance(value, float):  # of numpy too
        value = float(value)
    if isinstance(value, float) and value.is_integer() and int in kinds and float not in kinds:
        return int(value)
    return value


def _check(value: Any, kinds: Sequence[Any], where: str) -> None:
    """ValueError for a value that none of the kinds takes, as far as they say."""
    origins = [typing.get_origin(kind) for kind in kinds]
    paths = (str, os.PathLike, *([Mapping] if Mapping in origins else []))
    if os.PathLike in origins and not isinstance(value, paths):
        raise ValueError(f"{where}: expected a path, got {value!r}")
    if Callable in origins and not (isinstance(value, str) or callable(value)):
        raise ValueError(f"{where}: expected a name, got {value!r}")
    plain = [kind for kind in kinds if kind in (bool, int, float, str, type(None))]
    if len(plain) == len(kinds) and (type(value) not in kinds):
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in plain)
        raise ValueError(f"{where}: expected {names}, got {value!r}")


def _scalar(text: Any) -> Any:
    """A text that is a number, or a fraction of two, as that number."""
    if isinstance(text, str) and re.fullmatch(r"-?\d+", text):
        return int(text)
    if isinstance(text, str) and re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        return float(text)
    if isinstance(text, str) and re.fullmatch(_FRACTION, text):
        return float(pixel_value(text))
    return text
