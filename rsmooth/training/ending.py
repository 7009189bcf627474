"""What of a recipe's schedules lies beyond the end of its training, in words.

No error, since a short training may be a trial of a long recipe. So it is said at the end, beside
the metrics of the last epoch.
"""

from __future__ import annotations

import math
from typing import Any

REMARK = "remark"


def short_of_epsilon(recipe: Any) -> list[str]:
    """What the epsilon of training has grown to, where that is not its full value.

    short_of_epsilon(Trainer(attack=PGD(epsilon=0.5, steps=2), epochs=3))
    """
    why = _of_warmup(recipe)
    full = recipe.epsilon_at(float(max(recipe.warmup_epochs, recipe.warmup_from)))
    last = recipe.epsilon_at(math.nextafter(recipe.epochs, 0.0))
    if why is None or not last < full:
        return []
    return [f"epsilon ended at {last:.3g} of {full:.3g}: {why}"]


def short_of_growth(recipe: Any, what: str) -> list[str]:
    """The same of what a method lets grow by ``recipe.grown``.

    short_of_growth(SmoothMix(epochs=3), "the weight of the mixtures")
    """
    why = _of_warmup(recipe)
    if why is None:
        return []
    last = recipe.grown(1.0, math.nextafter(recipe.epochs, 0.0))
    return [f"{what} ended at {last:.0%} of its full value: {why}"]


def short_of_milestones(recipe: Any) -> list[str]:
    """The epochs at which the learning rate would have fallen, had they come.

    short_of_milestones(Trainer(schedule="milestones", lr_milestones=(30, 40), epochs=35))
    """
    late = [epoch for epoch in recipe.lr_milestones if epoch >= recipe.epochs]
    if not late:
        return []
    listed = ", ".join(map(str, late))
    return [f"the learning rate did not fall at {listed} of lr_milestones: epochs={recipe.epochs}"]


def never_came(recipe: Any, name: str, what: str) -> list[str]:
    """What should have begun at the epoch of an option, where training ended before it.

    never_came(Reweighting(since=60, epochs=30), "since", "the images were not reweighted")
    """
    start = getattr(recipe, name)
    if start is None or start < recipe.epochs:
        return []
    return [f"{what}: {name}={start} is not below epochs={recipe.epochs}"]


def _of_warmup(recipe: Any) -> str | None:
    """Which option of the warm-up lies beyond the end, if any."""
    if recipe.warmup_from >= recipe.epochs:
        return f"warmup_from={recipe.warmup_from} is not below epochs={recipe.epochs}"
    if recipe.warmup_epochs > recipe.epochs:
        return f"warmup_epochs={recipe.warmup_epochs} is above epochs={recipe.epochs}"
    return None
