"""What changes over the course of training: learning rate, epsilon, and the time that is used.

Schedules are pure functions of the progress, counted in epochs: 2.25 is a quarter into the third
epoch. So a resumed run needs no state of a scheduler. A run on a time budget can stretch the same
schedule over its seconds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    StepLR,
)

Build = Callable[[torch.optim.SGD], LRScheduler]

Schedule = Literal["step", "milestones", "one-cycle", "cosine"]
WarmUp = Literal["epoch", "step", "smoothed"]
BudgetClock = Literal["process", "wall"]
# Table entries over a whole one-cycle or cosine run; neighbours differ by < 0.04 % of the peak.
POINTS = 10_000


def learning_rates(
    schedule: Schedule,
    *,
    lr: float,
    epochs: int,
    lr_step_epochs: int,
    lr_gamma: float,
    lr_milestones: Sequence[int] = (),
) -> Callable[[float], float]:
    """The learning rate as a function of the progress in epochs.

        lr_at = learning_rates("step", lr=0.1, epochs=150, lr_step_epochs=50, lr_gamma=0.1)
        lr_at(50.0)     # 0.01

    schedule:
        "step": lr * lr_gamma ** (epoch // lr_step_epochs), as published.
        "milestones": times lr_gamma at each of ``lr_milestones``.
        "one-cycle": up from lr / 25 to lr over the first 30 %, and down to nearly 0 at the end
            (Smith and Topin 2019, arXiv:1708.07120).
        "cosine": half a cosine from lr to 0 (Loshchilov and Hutter 2017, arXiv:1608.03983).

    All are torch's schedulers, tabulated. ValueError for an unknown one.
    """
    by_epoch: dict[str, Build] = {
        "step": lambda sgd: StepLR(sgd, lr_step_epochs, lr_gamma),
        "milestones": lambda sgd: MultiStepLR(sgd, list(lr_milestones), lr_gamma),
    }
    by_step: dict[str, Build] = {
        "one-cycle": lambda sgd: OneCycleLR(sgd, lr, total_steps=POINTS, cycle_momentum=False),
        "cosine": lambda sgd: CosineAnnealingLR(sgd, POINTS),
    }
    if schedule in by_epoch:
        table = _tabulate(by_epoch[schedule], lr, epochs)
        return lambda progress: table[min(int(progress), epochs - 1)]
    if schedule in by_step:
        fine = _tabulate(by_step[schedule], lr, POINTS)
        return lambda progress: fine[min(int(progress / epochs * POINTS), POINTS - 1)]
    known = ", ".join([*by_epoch, *by_step])
    raise ValueError(f"expected schedule to be one of {known}, got {schedule!r}")


def _tabulate(build: Build, lr: float, length: int) -> list[float]:
    """The learning rates that a torch scheduler sets on its first ``length`` steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, device="cpu")], lr=lr)
    scheduler = build(optimizer)
    table = []
    with warnings.catch_warnings():
        # Nothing is optimised here, and torch remarks on it.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(length):
            table.append(float(optimizer.param_groups[0]["lr"]))
            if len(table) < length:
                scheduler.step()
    return table


def warmed_up(
    epsilon: float, progress: float, warmup_epochs: float, per: WarmUp, since: float = 0
) -> float:
    """The epsilon of training, which grows to ``epsilon`` until epoch ``warmup_epochs``.

    per: "epoch" gives min(epsilon, (epoch + 1) * epsilon / warmup_epochs) with the epoch from 0, as
        the published SmoothAdv code does. "step" counts the progress within the epoch too, from 0.
        "smoothed" counts it too, along ``smoothed_ramp``.
    since: the epoch at which the growth begins; before it epsilon is 0.

    Where it begins less than an epoch before ``warmup_epochs`` there is no warm-up.
    """
    length = warmup_epochs - since
    if progress < since:
        return 0.0
    if length < 1:
        return epsilon
    if per == "smoothed":
        return smoothed_ramp(progress, since, warmup_epochs, epsilon)
    passed = int(progress) + 1 - since if per == "epoch" else progress - since
    return min(epsilon, passed * epsilon / length)


def smoothed_ramp(progress: float, start: float, end: float, largest: float) -> float:
    """A growth from 0 to ``largest`` that begins gently: a fourth power, then a line.

        smoothed_ramp(progress, 1, 81, 2 / 255)

    It is 0 up to ``start``, grows with the fourth power over the first quarter, then along the
    tangent to ``largest`` at ``end``. The ramp of CROWN-IBP and of fast IBP (Shi et al. 2021,
    arXiv:2103.17268).
    """
    if progress >= end:
        return largest
    quarter, passed = (end - start) / 4, max(progress - start, 0.0)
    # Value and slope of a t^4 join a line to the end, three quarters further.
    factor = largest / (3 * quarter * 4 * quarter**3 + quarter**4)
    if passed < quarter:
        return factor * passed**4
    return factor * (quarter**4 + 4 * quarter**3 * (passed - quarter))


def between(first: float, last: float, share: float) -> float:
    """``first`` at share 0, ``last`` at share 1, and a line between: kappa and beta along a ramp.

    between(1.0, 0.5, epsilon / largest)
    """
    return first + (last - first) * min(max(share, 0.0), 1.0)


class TrainingClock:
    """Seconds spent on training steps, without validation and the writing of checkpoints.

    kind: "process" counts the CPU seconds of this process over all its threads, which other
        programs do not disturb. "wall" counts real time, for where a GPU does the work.
    used: seconds of an earlier part of the run.
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
