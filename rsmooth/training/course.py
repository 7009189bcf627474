"""Where a run is, and what follows from that: learning rate, epsilon, and whether it has ended."""

from __future__ import annotations

from typing import Any

import torch

from rsmooth.plumbing.progress import progress_bar
from rsmooth.training.distributed import Ranks
from rsmooth.training.recipe import Recipe
from rsmooth.training.schedules import TrainingClock, learning_rates

BUDGET_BAR = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}{postfix}]"
SAVED = ("epoch", "step", "steps_done", "progress", "lr", "epsilon")


class Course:
    """The place of a run between its start and its end.

    epoch, step: of the step to come, both from 0. steps_done: over all epochs.
    progress: in epochs; under a time budget the share of it that is used, times the epochs.
    lr, epsilon: of the step to come, set by ``locate``.
    clock: the seconds that training has taken.
    """

    def __init__(self, recipe: Recipe, ranks: Ranks, device: torch.device) -> None:
        self._recipe, self._ranks, self._device = recipe, ranks, device
        self._lr_at = learning_rates(
            recipe.schedule,
            lr=recipe.lr,
            epochs=recipe.epochs,
            lr_step_epochs=recipe.lr_step_epochs,
            lr_gamma=recipe.lr_gamma,
            lr_milestones=recipe.lr_milestones,
        )
        self.clock = TrainingClock(recipe.budget_clock)
        self.epoch, self.step, self.steps_done = 0, 0, 0
        self.progress, self.lr, self.epsilon = 0.0, recipe.lr, 0.0

    def locate(self, steps: int) -> None:
        """Set progress, learning rate and epsilon for the step to come.

        steps: in its epoch.
        """
        self.progress = self.progress_at(self.step / steps)
        self.lr = self._lr_at(self.progress)
        # A method may compute it with numpy, of which a checkpoint takes nothing.
        self.epsilon = float(self._recipe.epsilon_at(self.progress))

    def progress_at(self, share: float) -> float:
        """The progress at a share of the present epoch, or under a time budget at this second."""
        if self._recipe.budget_seconds is not None:
            return self._used() / self._recipe.budget_seconds * self._recipe.epochs
        return self.epoch + share

    def count_step(self) -> None:
        """Go to the next step of the epoch."""
        self.step += 1
        self.steps_done += 1

    def next_epoch(self) -> None:
        """Go to the first step of the next epoch."""
        self.epoch, self.step = self.epoch + 1, 0

    @property
    def finished(self) -> bool:
        """Whether all epochs are over, or the time budget is used up."""
        if self._recipe.budget_seconds is not None:
            return self._used() >= self._recipe.budget_seconds
        return self.epoch >= self._recipe.epochs

    @property
    def over(self) -> bool:
        """Whether it is finished and no epoch is left without its end."""
        return self.finished and self.step == 0

    @property
    def finishing(self) -> bool:
        """Whether the epoch that just ended is the last one."""
        if self._recipe.budget_seconds is not None:
            return self.finished
        return self.epoch + 1 >= self._recipe.epochs

    @property
    def past_warmup(self) -> bool:
        """Whether epsilon has reached its full value, or the last epoch has come."""
        return int(self.progress) >= min(self._recipe.warmup_epochs, self._recipe.epochs - 1)

    def bar(self, steps: int, show: bool) -> Any:
        """A progress bar with the time left: in steps, or in seconds of the budget.

        steps: per epoch. show: whether it is to be seen.
        """
        options: dict[str, Any]
        if self._recipe.budget_seconds is not None:
            total, initial = self._recipe.budget_seconds, self.clock.seconds
            options = {"total": total, "initial": initial, "bar_format": BUDGET_BAR}
        else:
            total, initial = self._recipe.epochs * steps, self.epoch * steps + self.step
            options = {"total": total, "initial": initial, "unit": "step"}
        return progress_bar(shown=show, dynamic_ncols=True, **options)

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {**{name: getattr(self, name) for name in SAVED}, "seconds": self.clock.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken; KeyError if a part is missing."""
        for name in SAVED:
            setattr(self, name, state[name])
        self.clock = TrainingClock(self._recipe.budget_clock, state["seconds"])

    def _used(self) -> float:
        return self._ranks.agree(self.clock.seconds, self._device)
