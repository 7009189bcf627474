"""What changes over the course of training: learning rate, attack budget, and how far along the run
is.

Everything here is a pure function of the progress, counted in epochs (2.25 = a quarter into the
third epoch), so that a resumed run needs no scheduler state and a run on a time budget can stretch
the same schedule over its seconds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

Schedule = Literal["step", "one-cycle"]
BudgetClock = Literal["process", "wall"]
ONE_CYCLE_POINTS = (
    10_000  # table entries over a whole one-cycle run; neighbours differ by < 0.04 % of the peak
)


def learning_rates(
    schedule: Schedule, *, lr: float, epochs: int, lr_step_epochs: int, lr_gamma: float
) -> Callable[[float], float]:
    """The learning rate as a function of the progress in epochs.

    "step": lr * lr_gamma ** (epoch // lr_step_epochs), as published. "one-cycle": up from lr/25 to
    lr over the first 30 % and down to nearly 0 at the end (torch's OneCycleLR; Smith & Topin 2019,
    arXiv:1708.07120).
    """
    if schedule == "step":
        table = _tabulate(lambda sgd: StepLR(sgd, lr_step_epochs, lr_gamma), lr, epochs)
        return lambda progress: table[min(int(progress), epochs - 1)]
    if schedule == "one-cycle":
        points = ONE_CYCLE_POINTS
        table = _tabulate(
            lambda sgd: OneCycleLR(sgd, lr, total_steps=points, cycle_momentum=False), lr, points
        )
        return lambda progress: table[min(int(progress / epochs * points), points - 1)]
    raise ValueError(f"expected schedule 'step' or 'one-cycle', got {schedule!r}")


def _tabulate(
    build: Callable[[torch.optim.SGD], LRScheduler], lr: float, length: int
) -> list[float]:
    """The learning rates that a torch scheduler sets on its first ``length`` steps."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler = build(optimizer)
    table = []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # nothing is optimised here, and torch remarks on it
        for _ in range(length):
            table.append(float(optimizer.param_groups[0]["lr"]))
            if len(table) < length:
                scheduler.step()
    return table


def warmed_up(epsilon: float, epoch: int, warmup_epochs: int) -> float:
    """The attack's budget in this epoch (from 0): it grows linearly to ``epsilon`` over
    ``warmup_epochs``.

    min(epsilon, (epoch + 1) * epsilon / warmup_epochs), as the published SmoothAdv code has it; 0
    or 1: no warm-up.
    """
    return epsilon if warmup_epochs < 1 else min(epsilon, (epoch + 1) * epsilon / warmup_epochs)


class TrainingClock:
    """Seconds spent on training steps; it stands still during validation and while a checkpoint is
    written.

    "process" counts this process' CPU seconds over all its threads, which other programs on the
    machine do not disturb; "wall" counts real time, the one to take where a GPU does the work.
    """

    def __init__(self, kind: BudgetClock, used: float = 0.0) -> None:
        self._now = {"process": time.process_time, "wall": time.perf_counter}[kind]
        self._before = used
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        return self._before + (self._now() - self._since if self._since is not None else 0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time spent inside."""
        self._since = self._now()
        try:
            yield
        finally:
            self._before, self._since = self.seconds, None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time spent inside out; only within ``running``."""
        self._before, self._since = self.seconds, None
        try:
            yield
        finally:
            self._since = self._now()
