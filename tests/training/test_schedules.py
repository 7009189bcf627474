"""Learning rates, warm-up and the clock."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from rsmooth.training.schedules import TrainingClock, learning_rates, warmed_up


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
