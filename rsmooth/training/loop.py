"""A training run: epochs, metrics, validation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.checkpoints import load_weights
from rsmooth.plumbing.progress import bar_options
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training import guards
from rsmooth.training.batch import When
from rsmooth.training.checkpoint import Interruption, RunFolder
from rsmooth.training.distributed import Ranks
from rsmooth.training.meter import Totals, evaluate
from rsmooth.training.precision import Precision
from rsmooth.training.recipe import Recipe
from rsmooth.training.sampling import EpochStart, check_weights
from rsmooth.training.schedules import TrainingClock, learning_rates
from rsmooth.training.sources import Images, Source, Step, plan_epoch
from rsmooth.training.steps import Stepper, with_epsilon
from rsmooth.training.tensorboard import Board

History = list[dict[str, float | int | str]]
Callback = Callable[[int, int], None]
LOOK_EVERY = 50  # steps on a GPU between two looks at what it or other processes must be waited for
JUDGED_AFTER = 100  # steps; a classifier that has hardly begun may well answer one class
BUDGET_BAR = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}{postfix}]"
PLAIN = ("epoch", "step", "steps_done", "progress", "lr", "epsilon", "history", "best")


@dataclass(frozen=True)
class Job:
    """What a run is made of: recipe, classifier, data, and where and how it is carried out.

    sources: of training images, the labelled ones first; data: those as they lie at rest. extras:
    columns beside them, by name. folder: None for a run that leaves no files.
    """

    recipe: Recipe
    g: SmoothedClassifier
    data: ImageData | FolderData
    sources: Sequence[Source]
    extras: Mapping[str, Tensor]
    validation: ImageData | FolderData | None
    folder: RunFolder | None
    ranks: Ranks
    precision: Precision
    interruption: Interruption
    callback: Callback | None
    device: torch.device


class Run:
    """A training run between its start and its end, all state in ``state``/``restore``."""

    def __init__(self, job: Job) -> None:
        self.job, self.recipe, self.g, self.ranks = job, job.recipe, job.g, job.ranks
        self.folder, self.device = job.folder, job.device
        self.stepper = Stepper(self.recipe, self.g, self.ranks, job.precision)
        self.lr_at = learning_rates(
            self.recipe.schedule,
            lr=self.recipe.lr,
            epochs=self.recipe.epochs,
            lr_step_epochs=self.recipe.lr_step_epochs,
            lr_gamma=self.recipe.lr_gamma,
            lr_milestones=self.recipe.lr_milestones,
        )
        self.clock = TrainingClock(self.recipe.budget_clock)
        self.epoch, self.step, self.steps_done = 0, 0, 0
        self.progress, self.lr, self.epsilon = 0.0, self.recipe.lr, 0.0
        self.history: History = []
        self.best = -1.0
        self.weights: Tensor | None = None  # of this epoch's sampling, as the method gave them
        self.method_state: dict[str, Any] = {}
        self.last_saved = time.monotonic()

    @property
    def shown(self) -> SmoothedClassifier:
        """The classifier that is validated and saved: the moving average where there is one."""
        return self.g if self.stepper.average is None else self.stepper.average.g

    def go(self, show: bool) -> None:
        """Train to the end and write the model."""
        with self._bar(show) as bar:
            board = self._board()
            while not self._finished():
                self._train_epoch(bar)
                self._end_epoch(bar)
                if board is not None:
                    board.write(self.history[-1])
        if self.stepper.average is not None:
            self.stepper.average.hand_over(self.g.base)
        self.g.eval()
        self._save_model("model.pt", self.g)

    def _bar(self, show: bool) -> tqdm[Any]:
        """Progress with the time left: in steps, or in seconds of the budget."""
        if self.recipe.budget_seconds is not None:
            return tqdm(
                total=self.recipe.budget_seconds,
                initial=self.clock.seconds,
                bar_format=BUDGET_BAR,
                dynamic_ncols=True,
                **bar_options(show),
            )
        steps = len(self._plan())
        return tqdm(
            total=self.recipe.epochs * steps,
            initial=self.epoch * steps + self.step,
            unit="step",
            dynamic_ncols=True,
            **bar_options(show),
        )

    def _board(self) -> Board | None:
        if not self.recipe.tensorboard or self.folder is None or not self.ranks.first:
            return None
        return Board(self.folder.path / "tensorboard", purge_from=self.epoch)

    def _plan(self) -> list[Step]:
        return plan_epoch(
            self.job.sources,
            self.epoch,
            self.recipe.batch_size,
            self.recipe.num_noise,
            self.weights,
        )

    def _train_epoch(self, bar: tqdm[Any]) -> None:
        """The epoch's steps from ``self.step`` on, or as many as the budget allows."""
        with self.clock.running():
            if self.step == 0:
                self._choose_images()
            plan = self._plan()
            rest = plan[self.step :]
            for planned, images in zip(rest, self._images(rest), strict=True):
                self._locate(len(plan))
                self._update(planned, images)
                self.step += 1
                self.steps_done += 1
                budget = self.recipe.budget_seconds  # the last step may well end after it
                bar.update(1 if budget is None else min(self.clock.seconds, budget) - bar.n)
                if self.job.callback is not None:
                    self.job.callback(self.epoch, self.step)
                self._between_steps()
                if self._finished():
                    break

    def _choose_images(self) -> None:
        """Ask the method how often this epoch draws each image; the first process decides."""
        if type(self.recipe).sample_weights is Recipe.sample_weights:
            return
        start = EpochStart(
            self.epoch,
            self.stepper.views.attacked(),
            self.job.data,
            self.job.sources[0].draws,
            self.device,
            self.method_state,
        )
        with torch.no_grad():
            found = self.recipe.sample_weights(start)
        weights = None if found is None else check_weights(found, start.count)
        self.weights, self.method_state = self.ranks.share_object((weights, start.state))

    def _images(self, steps: Sequence[Step]) -> Iterator[Images]:
        """This process' share of each step's images; one image where that would be none."""
        streams = []
        for which, source in enumerate(self.job.sources):
            mine = [step for step in steps if step.source == which]
            visits = [self._share(step, step.visits) for step in mine if step.visits is not None]
            shares = [self._share(step, step.positions) for step in mine]
            streams.append(source.batches(shares, self.epoch, visits or None))
        for step in steps:
            yield next(streams[step.source])

    def _share(self, step: Step, values: Tensor) -> Tensor:
        share = self.ranks.share(values)
        return share if len(share) else values[:1]

    def _locate(self, steps: int) -> None:
        """Set progress, learning rate and the attack's budget for the step to come."""
        self.progress = self.epoch + self.step / steps
        if self.recipe.budget_seconds is not None:
            self.progress = self._used() / self.recipe.budget_seconds * self.recipe.epochs
        self.lr = self.lr_at(self.progress)
        self.epsilon = self.recipe.epsilon_at(self.progress)

    def _update(self, planned: Step, images: Images) -> None:
        x, targets, ids = images
        source, recipe = self.job.sources[planned.source], self.recipe
        visits = None
        if planned.visits is not None:
            visits = self._share(planned, planned.visits).to(ids.device)
        noise = source.draws.noise(
            ids, self.epoch, recipe.num_noise, x.shape[1:], self.g.noise, visits
        )
        extras = {}
        if self.job.extras:
            positions = self._share(planned, planned.positions).to(self.device)
            extras = {name: all_[positions] for name, all_ in self.job.extras.items()}
        present = len(self.ranks.share(planned.positions)) > 0
        # DDP averages over processes what must be the mean over images, however unequal the shares.
        scale = source.weight * self.ranks.size / len(planned.positions) if present else 0.0
        self.stepper.when = When(self.epoch, self.progress)
        self.stepper.draws = source.draws
        self.stepper.step(
            x,
            targets,
            noise,
            ids,
            lr=self.lr,
            attack=with_epsilon(recipe.attack, self.epsilon),
            scale=scale,
            extras=extras,
        )

    def _used(self) -> float:
        return self.ranks.agree(self.clock.seconds, self.device)

    def _finished(self) -> bool:
        if self.recipe.budget_seconds is not None:
            return self._used() >= self.recipe.budget_seconds
        return self.epoch >= self.recipe.epochs

    def _between_steps(self) -> None:
        """Save where a signal or the time asks for it, and see that the loss is still a number."""
        look = self.device.type == "cpu" or self.steps_done % LOOK_EVERY == 0
        if look:
            guards.check_loss(float(self.stepper.meter.totals[0]), self.recipe, self.epoch)
        if self.folder is None or (self.ranks.size > 1 and not look):
            return
        signal = int(self.ranks.agree(self.job.interruption.received, self.device))
        due = time.monotonic() - self.last_saved >= self.recipe.checkpoint_seconds
        if signal or self.ranks.agree(float(due), self.device):
            with self.clock.paused():
                self._save()
        if signal:
            self.job.interruption.end(
                signal,
                f"saved after step {self.step} of epoch {self.epoch}; call fit again with "
                f"run_dir={str(self.folder.path)!r} to go on from there",
            )

    def _end_epoch(self, bar: tqdm[Any]) -> None:
        totals = Totals(self.stepper.meter, self.ranks)
        guards.check_loss(totals.loss, self.recipe, self.epoch)
        guards.check_weights(self.g.base, self.recipe, self.epoch)  # before best.pt is written
        self._guard(totals, "training")
        row = self._row(totals) | self._validate()
        self.history.append(row)
        shown = row.get("validation_accuracy", totals.accuracy)
        accuracy = "-" if shown is None else f"{shown:.3f}"
        bar.set_postfix(loss=f"{totals.mean_loss:.3f}", accuracy=accuracy, refresh=False)
        self.epoch, self.step = self.epoch + 1, 0
        self.stepper.meter.totals.zero_()
        self._save()

    def _row(self, totals: Totals) -> dict[str, float | int | str]:
        """The metrics of the epoch that has ended."""
        row: dict[str, float | int | str] = {
            "epoch": self.epoch,
            "train_loss": totals.mean_loss,
            "epsilon": self.epsilon,
            "lr": self.lr,
            "images": int(totals.images),
            "steps": self.step,
            "seconds": self.clock.seconds,
            "precision": self.job.precision,
        }
        if totals.accuracy is not None:
            row["train_accuracy"] = totals.accuracy
        return row

    def _validate(self) -> dict[str, float | int | str]:
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
        self._guard(held_out, "validation")
        accuracy = held_out.accuracy or 0.0
        if accuracy > self.best:
            self.best = accuracy
            self._save_model("best.pt", self.shown)
        return {"validation_loss": held_out.mean_loss, "validation_accuracy": accuracy}

    def _guard(self, totals: Totals, where: str) -> None:
        past_warmup = int(self.progress) >= min(self.recipe.warmup_epochs, self.recipe.epochs - 1)
        if past_warmup and self.steps_done >= JUDGED_AFTER:
            guards.check_collapse(totals.predicted, totals.labels, self.recipe, self.epoch, where)

    def _save_model(self, name: str, g: SmoothedClassifier) -> None:
        if self.folder is not None and self.ranks.first:
            g.save(self.folder.path / name)

    def _save(self) -> None:
        """Write the checkpoint, if there is a folder, from the first process."""
        if self.folder is None:
            return
        totals = self.ranks.total(self.stepper.meter.totals)
        guards.check_weights(self.g.base, self.recipe, self.epoch)
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
            **{name: getattr(self, name) for name in PLAIN},
            "seconds": self.clock.seconds,
            "precision": self.job.precision,
            "random_state": torch.get_rng_state(),
            "device_random_state": torch.cuda.get_rng_state(self.device) if on_gpu else None,
            "sampling": {"weights": self.weights, "state": self.method_state},
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
        for name in PLAIN:
            setattr(self, name, state[name])
        self.clock = TrainingClock(self.recipe.budget_clock, state["seconds"])
        sampling = state.get("sampling", {"weights": None, "state": {}})  # none in early files
        self.weights, self.method_state = sampling["weights"], sampling["state"]
        if self.stepper.average is not None:
            self.stepper.average.restore(state["average"])
        torch.set_rng_state(state["random_state"])
        if self.device.type == "cuda" and state["device_random_state"] is not None:
            torch.cuda.set_rng_state(state["device_random_state"], self.device)
