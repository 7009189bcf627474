"""A run in plain values, by which two runs are compared before one goes on from the other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from types import CodeType
from typing import Any

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.data.items import AnyData
from rsmooth.noise.distributions import Gaussian
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.averaging import RULE
from rsmooth.training.recipe import Recipe


def describe(recipe: Recipe) -> dict[str, Any]:
    """The options of a recipe that decide the result of a run, as plain values."""
    options = {
        f.name: _plain(getattr(recipe, f.name))
        for f in fields(recipe)
        if f.metadata.get("changes_result", True)
    }
    computes = {"computes": recipe.computes} if recipe.computes else {}
    return {"trainer": type(recipe).__name__, **computes, **options}


def describe_run(
    recipe: Recipe,
    g: SmoothedClassifier,
    data: AnyData,
    validation: ImageData | FolderData | None,
    extras: Mapping[str, Tensor],
) -> dict[str, Any]:
    """The configuration of a run: its recipe, classifier and images, as plain values."""
    gaussian = isinstance(g.noise, Gaussian)
    config = {
        **describe(recipe),
        **({"sigma": g.sigma} if gaussian else {"noise": str(g.noise)}),
        "classes": g.num_classes,
        "data": _fingerprint(data),
        "parameters": sum(parameter.numel() for parameter in g.parameters()),
        "validation": None if validation is None else _fingerprint(validation),
        "architecture": repr(getattr(g.base, "architecture", None)),
    }
    if recipe.ema_decay is not None:
        config["average"] = RULE
    if extras:
        config["extras"] = {name: _digest(column) for name, column in extras.items()}
    return config


def described_defaults(recipe: Recipe) -> dict[str, Any]:
    """What holds for the options that a record of an earlier version does not know."""
    return {
        f.name: _plain(f.default)
        for f in fields(recipe)
        if f.metadata.get("changes_result", True)
        and (f.name in ADDED or f.metadata.get("added", False))
    }


# Options that came after the first records of training were written. A method marks its own so:
# field(default=..., metadata={"added": True}).
ADDED = (
    *("optimizer", "nesterov", "lr_milestones", "warmup_per", "ema_decay", "frozen_parts"),
    "validate_every",
    "unlabelled_share",
    "warmup_from",
)


def _plain(value: Any) -> Any:
    if isinstance(value, Attack):
        # An option that came later is said where it differs from what was before it.
        options = {
            f.name: _plain(getattr(value, f.name))
            for f in fields(value)
            if not (f.metadata.get("added") and getattr(value, f.name) == f.default)
        }
        return {"attack": type(value).__name__, **options}
    if isinstance(value, partial):
        given = [*map(repr, value.args), *(f"{k}={v!r}" for k, v in value.keywords.items())]
        return f"{_plain(value.func)}({', '.join(given)})"
    if callable(value) and hasattr(value, "__qualname__"):
        return _named(value)
    if isinstance(value, (int, float, str, bool, type(None))):
        return value
    kind: Any = type(value)
    if kind.__repr__ is not object.__repr__:
        return repr(value)
    # An address would name another object in each process.
    held = getattr(value, "__dict__", {}).items()
    # Of an object in it only the type: the two may hold each other.
    said = ", ".join(f"{name}={_shallow(option)!r}" for name, option in held)
    return f"{kind.__module__}.{kind.__qualname__}({said})"


def _shallow(value: Any) -> Any:
    kind: Any = type(value)
    named = callable(value) and hasattr(value, "__qualname__")
    return _plain(value) if named or kind.__repr__ is not object.__repr__ else kind.__qualname__


def _named(function: Any) -> str:
    """A function by its name; one that shares it with others, such as a lambda, by its code too."""
    name = f"{function.__module__}.{function.__qualname__}"
    code = getattr(function, "__code__", None)
    if "<" not in name or code is None:
        return name
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    others = [_shallow(each) for each in held if each is not function]  # it may call itself
    parts = [_code(code), function.__defaults__, *others]
    return f"{name} {hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"


def _code(code: CodeType) -> list[Any]:
    """What a function does, without where it is written."""
    return [code.co_code.hex(), code.co_names, [_constant(each) for each in code.co_consts]]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    # In a fixed order: that of a set of words is another one in each process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value


def _fingerprint(data: AnyData) -> str:
    """What names the images; of files, which are too many to read, it is the listing."""
    return data.fingerprint() if isinstance(data, ImageData) else data.listing()


def _digest(column: Tensor) -> str:
    """What names a column of extras."""
    content = column.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{content.dtype} {tuple(content.shape)}".encode())
    digest.update(content.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
