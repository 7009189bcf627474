"""A recipe in plain values: what two runs are compared by before one goes on from the other."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from rsmooth.attacks.base import Attack
from rsmooth.training.recipe import Recipe


def describe(recipe: Recipe) -> dict[str, Any]:
    """The options that decide a run's result, as plain values: what two runs are compared by."""
    options = {
        f.name: _plain(getattr(recipe, f.name))
        for f in fields(recipe)
        if f.metadata.get("changes_result", True)
    }
    computes = {"computes": recipe.computes} if recipe.computes else {}
    return {"trainer": type(recipe).__name__, **computes, **options}


def described_defaults(recipe: Recipe) -> dict[str, Any]:
    """What holds for the options that a record of an earlier version does not know."""
    return {
        f.name: _plain(f.default)
        for f in fields(recipe)
        if f.metadata.get("changes_result", True) and f.name in ADDED
    }


# Options that came after the first records of training were written.
ADDED = ("optimizer", "nesterov", "lr_milestones", "warmup_per", "ema_decay", "frozen_parts")


def _plain(value: Any) -> Any:
    if isinstance(value, Attack):
        options = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        return {"attack": type(value).__name__, **options}
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value if isinstance(value, (int, float, str, bool, type(None))) else repr(value)
