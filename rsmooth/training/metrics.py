"""The metrics of an epoch as they are recorded, and the judgement on them."""

from __future__ import annotations

from rsmooth.models.precision import Precision
from rsmooth.training import guards
from rsmooth.training.course import Course
from rsmooth.training.meter import Totals
from rsmooth.training.recipe import Recipe

Row = dict[str, float | int | str]
History = list[Row]
# Steps; a classifier that has hardly begun may well answer one class.
JUDGED_AFTER = 100


def epoch_metrics(totals: Totals, course: Course, precision: Precision) -> Row:
    """The metrics of the epoch that has ended, as a line of metrics.jsonl holds them."""
    row: Row = {
        "epoch": course.epoch,
        "train_loss": totals.mean_loss,
        "epsilon": course.epsilon,
        "lr": course.lr,
        "images": int(totals.images),
        "steps": course.step,
        "seconds": course.clock.seconds,
        "precision": precision,
    }
    if totals.accuracy is not None:
        row["train_accuracy"] = totals.accuracy
    row |= {f"train_{name}": value for name, value in totals.figures.items()}
    return row


def judge(totals: Totals, recipe: Recipe, course: Course, where: str) -> None:
    """TrainingCollapsed if the classifier answers one class, once that tells something.

    where: which images the totals are of, for the message. Before the end of the warm-up and of the
    first steps nothing is judged.
    """
    if course.past_warmup and course.steps_done >= JUDGED_AFTER:
        guards.check_collapse(totals.predicted, totals.labels, recipe, course.epoch, where)
