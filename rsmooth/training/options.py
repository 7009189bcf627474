"""Checks of a recipe's options: ranges, known names, and what has to go together."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex, get_args

from rsmooth.plumbing.numbers import check_seed
from rsmooth.training.optimizers import OptimizerName


def settle_lists(recipe: Any) -> None:
    """Make tuples of a recipe's lists; ValueError for what is none, and for what they hold."""
    for name, kind, wanted in (
        ("lr_milestones", SupportsIndex, "a list of epochs such as (60, 80)"),
        ("frozen_parts", str, "a list of names such as ('classifier',)"),
    ):
        value = getattr(recipe, name)
        # A text is a list of its letters.
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"expected {name} to be {wanted}, got {value!r}")
        found = tuple(value)
        if not all(isinstance(item, kind) and not isinstance(item, bool) for item in found):
            raise ValueError(f"expected {name} to be {wanted}, got {found!r}")
        plain = found if kind is str else tuple(map(operator.index, found))
        object.__setattr__(recipe, name, plain)


def settle_names(recipe: Any, name: str, wanted: str) -> None:
    """Make a tuple of texts of an option; ValueError, with what is ``wanted``, for another."""
    value = getattr(recipe, name)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"expected {name} to be {wanted}, got {value!r}")
    found = tuple(map(str, value))
    object.__setattr__(recipe, name, found)


def check_numbers(recipe: Any) -> None:
    """ValueError unless every number of a recipe is in its range."""
    check_at_least_one(
        recipe, "epochs", "batch_size", "num_noise", "lr_step_epochs", "validate_every"
    )
    check_above_zero(
        recipe, "lr", "lr_gamma", "checkpoint_seconds", "budget_seconds", "clip_grad_norm"
    )
    check_at_least_zero(recipe, "weight_decay", "warmup_epochs", "warmup_from", "workers")
    check_range(recipe, "momentum", lambda value: 0 <= value < 1, "within [0, 1)")
    check_seed(recipe.seed)
    check_range(recipe, "ema_decay", lambda value: value is None or 0 < value < 1, "within (0, 1)")
    check_range(
        recipe,
        "unlabelled_share",
        lambda value: value is None or 0 < value < 1,
        "within (0, 1), or None for batches of their own",
    )
    check_range(
        recipe,
        "lr_milestones",
        lambda value: list(value) == sorted({*value}) and all(epoch >= 1 for epoch in value),
        "growing epochs >= 1",
    )


def check_above_zero(recipe: Any, *names: str) -> None:
    """ValueError unless each of these options is a number > 0, or None."""
    for name in names:
        check_range(
            recipe, name, lambda value: value is None or 0 < value < math.inf, "a number > 0"
        )


def check_at_least_one(recipe: Any, *names: str) -> None:
    """ValueError unless each of these options is an integer >= 1."""
    for name in names:
        check_range(recipe, name, lambda value: value >= 1, "an integer >= 1")


def check_at_least_zero(recipe: Any, *names: str) -> None:
    """ValueError unless each of these options is a number >= 0."""
    for name in names:
        check_range(recipe, name, lambda value: 0 <= value < math.inf, "a number >= 0")


def check_no_attack(recipe: Any) -> None:
    """ValueError for a method that makes no use of an attack, or brings its own."""
    if recipe.attack is not None:
        raise ValueError(
            f"expected no attack for {type(recipe).__name__}, got {recipe.attack!r}; leave it out: "
            "the method perturbs by itself, or not at all"
        )


def check_own_loss(recipe: Any) -> None:
    """ValueError for a ``train_loss`` that is given to a method whose loss makes no use of it."""
    if recipe.train_loss != "naive":
        raise ValueError(
            f"expected train_loss='naive' for {type(recipe).__name__}, since its loss is its own, "
            f"got {recipe.train_loss!r}; leave it out"
        )


def loss_of_one_copy(recipe: Any, *, copies: int | None = None) -> dict[str, str]:
    """A ``train_loss`` that differs from the default between several copies only, where one is.

    copies: that the loss is of; None for num_noise.
    """
    if recipe.train_loss != "smoothadv" or (copies or recipe.num_noise) > 1:
        return {}
    return {"train_loss": "one copy per image, where it equals 'naive'"}


def check_choices(recipe: Any) -> None:
    """ValueError unless every name is a known one, and options that need each other are given."""
    for name, known in (
        ("optimizer", get_args(OptimizerName)),
        ("schedule", ("step", "milestones", "one-cycle", "cosine")),
        ("warmup_per", ("epoch", "step", "smoothed")),
        ("budget_clock", ("process", "wall")),
        ("precision", ("float32", "bfloat16", "auto")),
    ):
        check_range(recipe, name, known.__contains__, f"one of {', '.join(known)}")
    if (recipe.schedule == "milestones") != bool(recipe.lr_milestones):
        raise ValueError(
            "expected lr_milestones with schedule='milestones' and with no other, got "
            f"{recipe.lr_milestones} with {recipe.schedule!r}"
        )
    if recipe.warmup_from > recipe.warmup_epochs:
        raise ValueError(
            "expected warmup_from <= warmup_epochs, the epoch at which epsilon has its full value, "
            f"got {recipe.warmup_from} and {recipe.warmup_epochs}"
        )
    if recipe.nesterov and (recipe.optimizer not in ("sgd", "muon") or recipe.momentum == 0):
        raise ValueError(
            "expected nesterov with optimizer='sgd' or 'muon' and a momentum > 0, got "
            f"{recipe.optimizer!r} and {recipe.momentum}"
        )


def check_range(recipe: Any, name: str, holds: Callable[[Any], bool], wanted: str) -> None:
    """ValueError unless an option is as ``wanted`` says, such as "an integer >= 1"."""
    value = getattr(recipe, name)
    if not holds(value):
        raise ValueError(f"expected {name} to be {wanted}, got {value!r}")
