"""Learning rates, warm-up and the clock."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from rsmooth.training.schedules import (
    TrainingClock,
    between,
    learning_rates,
    smoothed_ramp,
    warmed_up,
)


def test_the_step_schedule_is_the_published_one() -> None:
    rate = learning_rates("step", lr=0.1, epochs=150, lr_step_epochs=50, lr_gamma=0.1)
    at = [0, 49, 49.999, 50, 99.99, 100, 149.99]
    assert [rate(progress) for progress in at] == pytest.approx(
        [0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )
    assert rate(151.0) == pytest.approx(0.001)  # a time budget may be overshot by a step


def test_one_cycle_is_torchs() -> None:
    epochs, steps = 5, 400
    rate = learning_rates("one-cycle", lr=0.3, epochs=epochs, lr_step_epochs=1, lr_gamma=0.1)
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = OneCycleLR(sgd, 0.3, total_steps=epochs * steps + 1, cycle_momentum=False)
    for step in range(epochs * steps):
        assert rate(step / steps) == pytest.approx(sgd.param_groups[0]["lr"], abs=1e-3)
        sgd.step()
        scheduler.step()
    assert rate(epochs) < 1e-4


@pytest.mark.parametrize(
    ("warmup", "expected"), [(4, [0.25, 0.5, 0.75, 1, 1]), (1, [1] * 5), (0, [1] * 5)]
)
def test_warm_up_grows_linearly(warmup: int, expected: list[float]) -> None:
    assert [warmed_up(1.0, epoch + 0.5, warmup, "epoch") for epoch in range(5)] == expected


def test_warm_up_may_begin_later_and_grow_from_step_to_step() -> None:
    at = [0.0, 1.9, 2.0, 2.5, 3.9, 6.0, 9.0]
    found = [warmed_up(1.0, progress, 6, "step", since=2) for progress in at]
    assert found == pytest.approx([0, 0, 0, 0.125, 0.475, 1, 1])
    by_epoch = [warmed_up(1.0, progress, 6, "epoch", since=2) for progress in at]
    assert by_epoch == [0, 0, 0.25, 0.25, 0.5, 1, 1]
    smoothed = [warmed_up(0.3, progress, 6, "smoothed", since=2) for progress in at]
    assert smoothed == [smoothed_ramp(progress, 2, 6, 0.3) for progress in at]
    assert [warmed_up(1.0, at, 2, "smoothed", since=2) for at in (1.9, 2.0)] == [0, 1]


def test_the_smoothed_ramp_is_its_published_formula() -> None:
    """A (t - s)^4 to the middle m = s + (e - s) / 4, then a line whose value and slope join it."""
    start, end, largest = 10.0, 50.0, 0.3
    middle = start + 0.25 * (end - start)
    factor = largest / ((end - middle) * 4 * (middle - start) ** 3 + (middle - start) ** 4)
    for progress in (10.0, 12.5, 19.99, 20.0):
        by_formula = factor * (progress - start) ** 4
        assert smoothed_ramp(progress, start, end, largest) == pytest.approx(by_formula)
    value = factor * (middle - start) ** 4
    for progress in (20.0, 31.0, 49.0):
        line = value + (progress - middle) / (end - middle) * (largest - value)
        assert smoothed_ramp(progress, start, end, largest) == pytest.approx(line)
    steps = [smoothed_ramp(at, start, end, largest) for at in (20 - 1e-6, 20.0, 20 + 1e-6)]
    assert steps[1] - steps[0] == pytest.approx(steps[2] - steps[1], rel=1e-3)
    assert [smoothed_ramp(at, start, end, largest) for at in (0.0, 10.0, 50.0, 60.0)] == [
        0.0,
        0.0,
        largest,
        largest,
    ]


def test_kappa_and_beta_go_along_a_line() -> None:
    assert [between(1.0, 0.5, share) for share in (-1, 0, 0.5, 1, 2)] == [1, 1, 0.75, 0.5, 0.5]


def test_the_clock_counts_only_what_is_spent_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.process_time", lambda: now[0])
    clock = TrainingClock("process", used=10.0)
    now[0] = 5.0
    with clock.running():
        now[0] = 6.0
        with clock.paused():
            now[0] = 100.0
        now[0] = 102.0
        assert clock.seconds == 13.0
    now[0] = 200.0
    assert clock.seconds == 13.0
