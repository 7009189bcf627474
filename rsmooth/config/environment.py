"""Environment variables in options: $NAME, so that a configuration need not hold a path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rsmooth.config.specs import Spec, create, split_spec
from rsmooth.registry import Registry


def create_here(registry: Registry, spec: Spec, **fixed: Any) -> Any:
    """As ``specs.create``, with $NAME in an option as the environment variable NAME.

        create_here(DATASETS, {"name": "npz", "path": "$RSMOOTH_CIFAR10"})

    Options within options may have them too. ValueError for a variable that is not set. Errors show
    the name of a variable, not its value: a configuration of somebody else may name any.
    """
    name, options = split_spec(spec, registry.kind)
    given = expanded(options, f"{registry.kind} {name!r}")
    hidden = {value: written for value, written in _pairs(given, options) if value != written}
    try:
        return create(registry, {"name": name, **given}, **fixed)
    except Exception as error:
        if not hidden:
            raise
        raise _as_written(error, hidden) from None


def expanded(value: Any, owner: str, option: str = "") -> Any:
    """A value with environment variables in place of $NAME; in mappings, of each value.

        expanded("$RSMOOTH_CIFAR10", "this command", "--checkpoint")

    owner, option: whose it is, for the ValueError where a variable is not set.
    """
    if isinstance(value, Mapping):
        return {key: expanded(each, owner, str(key)) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    found = os.path.expandvars(value)
    if found.startswith("$"):
        name = re.sub(r"\$\{?(\w*).*", r"\1", found)
        raise ValueError(
            f"expected the environment variable ${name}, which option {option} of {owner} names, "
            f"got none; export {name}=PATH"
        )
    return found


def _pairs(given: Any, written: Any) -> Iterator[tuple[str, str]]:
    """The texts among options, as they are and as they were written."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            yield from _pairs(value, written[key])
    elif isinstance(given, str):
        yield given, written


def _as_written(error: Exception, hidden: Mapping[str, str]) -> Exception:
    """The error with the options as they were written, where it shows what they stand for."""

    def shown(part: object) -> object:
        if not isinstance(part, (str, os.PathLike)):
            return part
        text = os.fspath(part) if isinstance(part, os.PathLike) else part
        for value, written in hidden.items():
            text = text.replace(value, written)
        return text

    parts = [shown(part) for part in error.args]
    if isinstance(error, OSError) and error.filename is not None:
        parts = [*parts[:2], shown(error.filename)]
    try:
        return type(error)(*parts)
    except TypeError:
        return ValueError(shown(str(error)))
