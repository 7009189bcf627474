"""The metrics of an epoch: what a line of metrics.jsonl holds, and when they are judged."""

from __future__ import annotations

import pytest
import torch

from rsmooth.defenses import Trainer, TrainingCollapsed
from rsmooth.training.course import Course
from rsmooth.training.distributed import Ranks
from rsmooth.training.meter import Meter, Totals
from rsmooth.training.metrics import JUDGED_AFTER, epoch_metrics, judge

CPU = torch.device("cpu")


def totals(predicted: int = 0, passes: bool = True) -> Totals:
    """Of 40 images of both classes that all are called ``predicted``."""
    meter = Meter(2, CPU)
    log_probs = torch.full((40, 1, 2), -1.0)
    log_probs[:, :, predicted] = 0.0
    meter.add(torch.full((40,), 0.5), log_probs if passes else None, torch.arange(40) % 2)
    return Totals(meter, Ranks())


def course(steps_done: int, epochs: int = 4) -> Course:
    run = Course(Trainer(epochs=epochs, warmup_epochs=0), Ranks(), CPU)
    run.locate(10)
    run.steps_done = steps_done
    return run


def test_a_row_holds_what_the_epoch_came_to() -> None:
    row = epoch_metrics(totals(), course(7), "bfloat16")
    assert row["train_loss"] == 0.5
    assert row["train_accuracy"] == 0.5
    assert (row["epoch"], row["images"], row["precision"]) == (0, 40, "bfloat16")
    assert row["lr"] == 0.1
    assert "train_accuracy" not in epoch_metrics(totals(passes=False), course(7), "float32")


def test_one_class_is_judged_after_the_first_steps_only() -> None:
    trainer = Trainer(epochs=4, warmup_epochs=0)
    judge(totals(), trainer, course(JUDGED_AFTER - 1), "training")
    with pytest.raises(TrainingCollapsed, match=r"class 1 for 100\.0% of the validation images"):
        judge(totals(1), trainer, course(JUDGED_AFTER), "validation")
