"""The configuration that a run came to: every option with the value that was used."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import yaml

from rsmooth._version import __version__
from rsmooth.config.specs import Spec, split_spec
from rsmooth.plumbing.files import replace_file
from rsmooth.registry import Registry

EFFECTIVE = "effective.yaml"
HEAD = (
    "# Every option with the value that was used, defaults and presets included.\n"
    "# To read, not to edit: config.yaml is what a run goes on by.\n"
)


def write_effective(run: Path, **parts: Any) -> None:
    """Write what ``config.yaml`` came to beside it, in plain values.

        write_effective(Path("runs/a"), noise=g.noise, trainer=trainer, seed=0)

    Of an object it is the options that count. Nothing reads this file.
    """
    told = {name: plain(value) for name, value in parts.items() if value is not None}
    content = {"rsmooth": __version__, **told}
    text = HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    replace_file(run / EFFECTIVE, text.encode())


def with_defaults(registry: Registry, spec: Spec) -> dict[str, Any]:
    """A spec with the defaults of what it leaves out.

    with_defaults(DATASETS, "digits")      # {"name": "digits", "validation": 0.1, "seed": 0}
    """
    name, options = split_spec(spec, registry.kind)
    parameters = inspect.signature(registry.get(name)).parameters
    defaults = {
        key: each.default for key, each in parameters.items() if each.default is not each.empty
    }
    return {"name": name, **defaults, **options}


def plain(value: Any) -> Any:
    """A value as YAML holds it: an object by its class and options, a function by its name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        options = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {"class": type(value).__name__, **options}
    if isinstance(value, PathLike):
        return str(fspath(value))
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
