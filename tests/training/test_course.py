"""The course of a run: progress, rates and epsilon, its end, and the way back to a saved place."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth.attacks import PGD
from rsmooth.defenses import Trainer
from rsmooth.training.course import Course
from rsmooth.training.distributed import Ranks


def course(**options: Any) -> Course:
    trainer = Trainer(attack=PGD(epsilon=1.0, steps=1), **options)
    return Course(trainer, Ranks(), torch.device("cpu"))


def test_it_follows_the_schedules_through_the_epochs() -> None:
    run = course(epochs=2, lr=0.1, lr_step_epochs=1, warmup_epochs=2, warmup_per="step")
    seen = []
    while not run.finished:
        for _ in range(4):
            run.locate(4)
            seen.append((run.progress, round(run.lr, 6), run.epsilon))
            run.count_step()
        run.next_epoch()
    assert seen[:3] == [(0.0, 0.1, 0.0), (0.25, 0.1, 0.125), (0.5, 0.1, 0.25)]
    assert seen[4:6] == [(1.0, 0.01, 0.5), (1.25, 0.01, 0.625)]
    assert len(seen) == run.steps_done == 8
    assert (run.epoch, run.step) == (2, 0)


@pytest.mark.parametrize(
    ("epochs", "warmup", "judged"),
    [(4, 2, [False, False, True, True]), (2, 10, [False, True]), (2, 0, [True, True])],
)
def test_the_last_epoch_counts_as_past_the_warm_up(
    epochs: int, warmup: int, judged: list[bool]
) -> None:
    run, seen = course(epochs=epochs, warmup_epochs=warmup), []
    for _ in range(epochs):
        run.locate(1)
        seen.append(run.past_warmup)
        run.next_epoch()
    assert seen == judged


def test_a_budget_stretches_the_epochs_over_its_seconds() -> None:
    run = course(epochs=10, budget_seconds=100.0)
    run.restore({**run.state(), "seconds": 25.0, "epoch": 40})
    run.locate(7)
    assert run.progress == 2.5
    assert not run.finished
    run.restore({**run.state(), "seconds": 100.0})
    assert run.finished


def test_state_is_plain_and_restores_everything() -> None:
    run = course(epochs=5)
    run.locate(3)
    run.count_step()
    state = run.state()
    assert all(isinstance(value, (int, float)) for value in state.values())
    other = course(epochs=5)
    other.restore(state)
    assert other.state() == state
    with pytest.raises(KeyError, match="steps_done"):
        other.restore({name: value for name, value in state.items() if name != "steps_done"})


def test_the_bar_begins_where_the_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    run = course(epochs=5)
    run.restore({**run.state(), "epoch": 2, "step": 3})
    with run.bar(10, True) as bar:
        assert (bar.n, bar.total) == (23, 50)
    budget = course(budget_seconds=8.0)
    with budget.bar(10, True) as bar:
        assert (bar.n, bar.total) == (0, 8.0)
    with run.bar(10, False) as bar:
        assert bar.disable
    assert "23/50" in capsys.readouterr().err
