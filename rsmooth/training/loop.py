"""A training run: epochs, metrics, validation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.data.items import AnyData
from rsmooth.models.checkpoints import load_weights
from rsmooth.models.precision import Precision
from rsmooth.plumbing.errors import remedy
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training import guards
from rsmooth.training.batch import When
from rsmooth.training.checkpoint import Interruption, RunFolder
from rsmooth.training.course import Course
from rsmooth.training.distributed import Ranks
from rsmooth.training.ending import REMARK
from rsmooth.training.feed import Feed, Given
from rsmooth.training.meter import Totals, certified_share, evaluate
from rsmooth.training.metrics import History, Row, epoch_metrics, judge
from rsmooth.training.recipe import Recipe
from rsmooth.training.singles import in_our_words
from rsmooth.training.sources import Source
from rsmooth.training.steps import Stepper, with_epsilon
from rsmooth.training.tensorboard import Board

Callback = Callable[[int, int], None]
# Gets an epoch's metrics; True ends the training there.
OnEpoch = Callable[[Row], object]
# Steps on a GPU between two looks at what has to be waited for.
LOOK_EVERY = 50


@dataclass(frozen=True)
class Job:
    """What a run is made of: recipe, classifier, data, and where and how it is carried out.

    data: the labelled training images as they are at rest.
    sources: of training images, those of ``data`` first.
    extras: further columns of the images of ``data``, by name.
    folder: None for a run that leaves no files.
    """

    recipe: Recipe
    g: SmoothedClassifier
    data: AnyData
    sources: Sequence[Source]
    extras: Mapping[str, Tensor]
    validation: ImageData | FolderData | None
    folder: RunFolder | None
    ranks: Ranks
    precision: Precision
    interruption: Interruption
    callback: Callback | None
    on_epoch: OnEpoch | None
    device: torch.device


class Run:
    """A training run between its start and its end, all state in ``state``/``restore``."""

    def __init__(self, job: Job) -> None:
        self.job, self.recipe, self.g, self.ranks = job, job.recipe, job.g, job.ranks
        self.folder, self.device = job.folder, job.device
        self.stepper = Stepper(self.recipe, self.g, self.ranks, job.precision)
        self.course = Course(self.recipe, self.ranks, self.device)
        self.feed = Feed(
            self.recipe, job.data, job.sources, job.extras, self.g.noise, self.ranks, self.device
        )
        self.history: History = []
        self.best = -1.0
        self.last_saved = time.monotonic()

    @property
    def shown(self) -> SmoothedClassifier:
        """The classifier that is validated and saved: the moving average where there is one."""
        return self.g if self.stepper.average is None else self.stepper.average.g

    def go(self, show: bool) -> None:
        """Train to the end and write the model."""
        steps = len(self.feed.plan(self.course.epoch))
        with self.course.bar(steps, show) as bar:
            board = self._board()
            while not self.course.over:
                # A time budget may have ended in an epoch that was saved before its own end.
                if not self.course.finished:
                    self._train_epoch(bar)
                self._end_epoch(bar)
                if board is not None:
                    board.write(self.history[-1])
                if self._told_to_end():
                    break
        if self.stepper.average is not None:
            self.stepper.average.hand_over(self.g.base)
        self._save_model("model.pt", self.g)

    def _told_to_end(self) -> bool:
        """Hand the epoch's metrics over; whether the answer is that training is to end here.

        Then there is a checkpoint to go on from. Any answer but True is none: what a tracker's
        function returns is its own business.
        """
        hook, told = self.job.on_epoch, False
        if hook is not None and self.ranks.first:
            answer = hook(dict(self.history[-1]))
            told = isinstance(answer, (bool, np.bool_)) and bool(answer)
        # Asked of all processes, which need not all have been given a hook.
        told = bool(self.ranks.agree(float(told), self.device))
        if told:
            self._save()
        return told

    def _board(self) -> Board | None:
        if not self.recipe.tensorboard or self.folder is None or not self.ranks.first:
            return None
        return Board(self.folder.path / "tensorboard", purge_from=self.course.epoch)

    def _train_epoch(self, bar: Any) -> None:
        """The steps of the epoch from the present one on, or as many as the time budget allows."""
        course, budget = self.course, self.recipe.budget_seconds
        with course.clock.running():
            if course.step == 0:
                self._choose()
            plan = self.feed.plan(course.epoch)
            for given in self.feed.steps(plan[course.step :], course.epoch):
                course.locate(len(plan))
                self._update(given)
                course.count_step()
                # The last step may well end after the budget.
                bar.update(1 if budget is None else min(course.clock.seconds, budget) - bar.n)
                if self.job.callback is not None:
                    self.job.callback(course.epoch, course.step)
                self._between_steps()
                if course.finished:
                    break

    def _choose(self) -> None:
        """Let the method choose the images of the epoch that begins."""
        course = self.course
        before = course.clock.seconds
        self.feed.choose(course.epoch, course.progress_at(0.0), self.stepper.views, self._heed)
        if self.ranks.first:
            guards.remark_on_look(course.clock.seconds - before, self.recipe, course.epoch)

    def _update(self, given: Given) -> None:
        course = self.course
        self.stepper.when = When(course.epoch, course.progress, course.steps_done)
        self.stepper.draws = given.draws
        share = self.recipe.unlabelled_share if len(self.job.sources) > 1 else None
        with in_our_words(self.recipe, len(self.job.data), self.ranks.size, share):
            self.stepper.step(
                given.x,
                given.targets,
                given.noise,
                given.ids,
                lr=self.course.lr,
                attack=with_epsilon(self.recipe.attack, self.course.epsilon),
                scale=given.scale,
                extras=given.extras,
            )

    def _between_steps(self) -> None:
        """Save where a signal or the time asks for it, and see that the loss is still a number."""
        look = self.device.type == "cpu" or self.course.steps_done % LOOK_EVERY == 0
        if look:
            guards.check_loss(float(self.stepper.meter.totals[0]), self.recipe, self.course.epoch)
        if self.folder is None or (self.ranks.size > 1 and not look):
            return
        signal = int(self.ranks.agree(self.job.interruption.received, self.device))
        due = time.monotonic() - self.last_saved >= self.recipe.checkpoint_seconds
        if signal or self.ranks.agree(float(due), self.device):
            with self.course.clock.paused():
                self._save()
        if signal:
            self._end_by(signal, self.folder)

    def _heed(self) -> None:
        """Save and end where a signal came before the first step of an epoch.

        Several processes go on to that step, which they agree about.
        """
        signal = self.job.interruption.received
        if signal and self.folder is not None and self.ranks.size == 1:
            with self.course.clock.paused():
                self._save()
            self._end_by(signal, self.folder)

    def _end_by(self, signal: int, folder: RunFolder) -> None:
        again = remedy(
            f"call fit again with run_dir={str(folder.path)!r}", "give the same command again"
        )
        self.job.interruption.end(
            signal,
            f"saved after step {self.course.step} of epoch {self.course.epoch}; {again} to go on "
            "from there",
        )

    def _end_epoch(self, bar: Any) -> None:
        # Before anybody looks at them, and the last epoch ends.
        self.ranks.settle({id(each): each for each in (self.g, self.shown)}.values())
        totals = Totals(self.stepper.meter, self.ranks)
        guards.check_loss(totals.loss, self.recipe, self.course.epoch)
        # Before best.pt is written.
        guards.check_weights(self.g.base, self.recipe, self.course.epoch)
        judge(totals, self.recipe, self.course, "training")
        due = (self.course.epoch + 1) % self.recipe.validate_every == 0 or self.course.finishing
        if self.ranks.first:
            guards.remark_on_loss(totals.mean_loss, self.g.num_classes, self.course.epoch)
        row = epoch_metrics(totals, self.course, self.job.precision)
        row |= self._validate() if due else {}
        if self.course.finishing and (missed := self.recipe.unreached()):
            row[REMARK] = "; ".join(missed)
        self.history.append(row)
        shown = row.get("validation_accuracy", totals.accuracy)
        accuracy = "-" if shown is None else f"{shown:.3f}"
        bar.set_postfix(loss=f"{totals.mean_loss:.3f}", accuracy=accuracy, refresh=False)
        self.course.next_epoch()
        self.stepper.meter.totals.zero_()
        if due:
            self._save()

    def _validate(self) -> Row:
        """The metrics on held-out images, by which the best model is kept."""
        if self.job.validation is None:
            return {}
        held_out = evaluate(
            self.shown,
            self.job.validation,
            seed=self.recipe.seed,
            batch_size=4 * self.recipe.batch_size,
            device=self.device,
            ranks=self.ranks,
        )
        judge(held_out, self.recipe, self.course, "validation")
        accuracy = held_out.accuracy or 0.0
        row: Row = {"validation_loss": held_out.mean_loss, "validation_accuracy": accuracy}
        score: float | None = accuracy
        if self.recipe.certified_images:
            # Before epsilon has its full value, the best model would be one that is not robust yet.
            score = self._certified(self.job.validation) if self.course.past_warmup else None
            row |= {} if score is None else {"validation_certified_accuracy": score}
        if score is not None and score > self.best:
            self.best = score
            self._save_model("best.pt", self.shown)
        return row

    def _certified(self, held_out: ImageData | FolderData) -> float:
        """The share of the first validation images that are right and certified."""
        count = min(len(held_out), self.recipe.certified_images)
        return certified_share(
            self.shown,
            held_out.subset(range(count)),
            self.recipe.certified,
            batch_size=self.recipe.batch_size,
            device=self.device,
            ranks=self.ranks,
        )

    def _save_model(self, name: str, g: SmoothedClassifier) -> None:
        if self.folder is not None and self.ranks.first:
            self.folder.take()
            g.save(self.folder.path / name)

    def _save(self) -> None:
        """Write the checkpoint, if there is a folder, from the first process."""
        if self.folder is None:
            return
        totals = self.ranks.total(self.stepper.meter.totals)
        guards.check_weights(self.g.base, self.recipe, self.course.epoch)
        if self.ranks.first:
            self.folder.save(self.state(totals))
        self.last_saved = time.monotonic()

    def state(self, totals: Tensor) -> dict[str, Any]:
        """All that the run goes on from, as plain values and tensors."""
        on_gpu, average = self.device.type == "cuda", self.stepper.average
        return {
            "model": self.g.base.state_dict(),
            "optimizer": self.stepper.optimizer.state_dict(),
            "totals": totals,
            **self.course.state(),
            "history": self.history,
            "best": self.best,
            "precision": self.job.precision,
            "random_state": torch.get_rng_state(),
            "device_random_state": torch.cuda.get_rng_state(self.device) if on_gpu else None,
            "sampling": self.feed.state(),
            "average": None if average is None else average.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken.

        KeyError, ValueError, TypeError or RuntimeError if it is not whole.
        """
        load_weights(self.g.base, state["model"], source="the checkpoint")
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        if self.ranks.first:
            self.stepper.meter.totals.copy_(state["totals"])
        self.course.restore(state)
        self.history, self.best = state["history"], state["best"]
        # Early files know no sampling.
        self.feed.restore(state.get("sampling", {"weights": None, "state": {}}))
        if self.stepper.average is not None:
            self.stepper.average.restore(state["average"])
        torch.set_rng_state(state["random_state"])
        if self.device.type == "cuda" and state["device_random_state"] is not None:
            torch.cuda.set_rng_state(state["device_random_state"], self.device)
