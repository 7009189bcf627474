"""Checks of a recipe's options: ranges, known names, and what has to go together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def check_numbers(recipe: Any) -> None:
    """ValueError unless every number of a recipe is in its range."""
    for name in ("epochs", "batch_size", "num_noise", "lr_step_epochs"):
        _check(recipe, name, lambda value: isinstance(value, int) and value >= 1, "an integer >= 1")
    for name in ("lr", "lr_gamma", "checkpoint_seconds", "budget_seconds", "clip_grad_norm"):
        _check(recipe, name, lambda value: value is None or 0 < value < math.inf, "a number > 0")
    for name in ("momentum", "weight_decay", "warmup_epochs", "workers"):
        _check(recipe, name, lambda value: 0 <= value < math.inf, "a number >= 0")
    _check(recipe, "ema_decay", lambda value: value is None or 0 < value < 1, "within (0, 1)")
    _check(
        recipe,
        "lr_milestones",
        lambda value: list(value) == sorted({*value}) and all(epoch >= 1 for epoch in value),
        "growing epochs >= 1",
    )


def check_choices(recipe: Any) -> None:
    """ValueError unless every name is a known one, and options that need each other are given."""
    for name, known in (
        ("optimizer", ("sgd", "adam", "adamw")),
        ("schedule", ("step", "milestones", "one-cycle", "cosine")),
        ("warmup_per", ("epoch", "step")),
        ("budget_clock", ("process", "wall")),
        ("precision", ("float32", "bfloat16", "auto")),
    ):
        _check(recipe, name, known.__contains__, f"one of {', '.join(known)}")
    if (recipe.schedule == "milestones") != bool(recipe.lr_milestones):
        raise ValueError(
            "expected lr_milestones with schedule='milestones' and with no other, got "
            f"{recipe.lr_milestones} with {recipe.schedule!r}"
        )
    if recipe.nesterov and (recipe.optimizer != "sgd" or recipe.momentum == 0):
        raise ValueError(
            "expected nesterov with optimizer='sgd' and a momentum > 0, got "
            f"{recipe.optimizer!r} and {recipe.momentum}"
        )


def _check(recipe: Any, name: str, holds: Callable[[Any], bool], wanted: str) -> None:
    value = getattr(recipe, name)
    if not holds(value):
        raise ValueError(f"expected {name} to be {wanted}, got {value!r}")
