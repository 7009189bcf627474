"""A training run: epochs, metrics, validation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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
from rsmooth.training.checkpoint import Interruption, RunFolder
from rsmooth.training.distributed import Ranks
from rsmooth.training.meter import Totals, evaluate
from rsmooth.training.precision import Precision
from rsmooth.training.recipe import Recipe
from rsmooth.training.schedules import TrainingClock, learning_rates, warmed_up
from rsmooth.training.sources import Images, Source, Step, plan_epoch
from rsmooth.training.steps import Stepper, with_epsilon
from rsmooth.training.tensorboard import Board

History = list[dict[str, float | int | str]]
Callback = Callable[[int, int], None]
LOOK_EVERY = (
    50  # steps on a GPU between two looks at what it or the other processes must be waited for
)
JUDGED_AFTER = 100  # steps; a classifier that has hardly begun may well answer one class
BUDGET_BAR = "{l_bar}{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}{postfix}]"


class Run:
    """A training run between its start and its end, all state in ``state``/``restore``."""

    def __init__(
        self,
        trainer: Recipe,
        g: SmoothedClassifier,
        sources: Sequence[Source],
        validation: ImageData | FolderData | None,
        folder: RunFolder | None,
        ranks: Ranks,
        precision: Precision,
        interruption: Interruption,
        callback: Callback | None,
        device: torch.device,
    ) -> None:
        self.trainer, self.g, self.sources, self.validation = trainer, g, sources, validation
        self.folder, self.ranks, self.precision = folder, ranks, precision
        self.interruption, self.callback, self.device = interruption, callback, device
        self.stepper = Stepper(trainer, g, ranks, precision)
        self.lr_at = learning_rates(
            trainer.schedule,
            lr=trainer.lr,
            epochs=trainer.epochs,
            lr_step_epochs=trainer.lr_step_epochs,
            lr_gamma=trainer.lr_gamma,
        )
        self.clock = TrainingClock(trainer.budget_clock)
        self.epoch, self.step, self.steps_done = 0, 0, 0
        self.progress, self.lr, self.epsilon = 0.0, trainer.lr, 0.0
        self.history: History = []
        self.best = -1.0
        self.last_saved = time.monotonic()

    def go(self, show: bool) -> None:
        """Train to the end and write the model."""
        with self._bar(show) as bar:
            board = self._board()
            while not self._finished():
                self._train_epoch(bar)
                self._end_epoch(bar)
                if board is not None:
                    board.write(self.history[-1])
        self.g.eval()
        self._save_model("model.pt")

    def _bar(self, show: bool) -> tqdm[Any]:
        """Progress with the time left: in steps, or in seconds of the budget."""
        if self.trainer.budget_seconds is not None:
            return tqdm(
                total=self.trainer.budget_seconds,
                initial=self.clock.seconds,
                bar_format=BUDGET_BAR,
                dynamic_ncols=True,
                **bar_options(show),
            )
        steps = len(self._plan())
        return tqdm(
            total=self.trainer.epochs * steps,
            initial=self.epoch * steps + self.step,
            unit="step",
            dynamic_ncols=True,
            **bar_options(show),
        )

    def _board(self) -> Board | None:
        if not self.trainer.tensorboard or self.folder is None or not self.ranks.first:
            return None
        return Board(self.folder.path / "tensorboard", purge_from=self.epoch)

    def _plan(self) -> list[Step]:
        return plan_epoch(self.sources, self.epoch, self.trainer.batch_size, self.trainer.num_noise)

    def _train_epoch(self, bar: tqdm[Any]) -> None:
        """The epoch's steps from ``self.step`` on, or as many as the budget allows."""
        plan = self._plan()
        rest = plan[self.step :]
        with self.clock.running():
            for planned, images in zip(rest, self._images(rest), strict=True):
                self._locate(len(plan))
                self._update(planned, images)
                self.step += 1
                self.steps_done += 1
                budget = self.trainer.budget_seconds  # the last step may well end after it
                bar.update(1 if budget is None else min(self.clock.seconds, budget) - bar.n)
                if self.callback is not None:
                    self.callback(self.epoch, self.step)
                self._between_steps()
                if self._finished():
                    break

    def _images(self, steps: Sequence[Step]) -> Iterator[Images]:
        """This process' share of each step's images; one image where that would be none."""
        streams = [
            source.batches(
                [self._share(step) for step in steps if step.source == which], self.epoch
            )
            for which, source in enumerate(self.sources)
        ]
        for step in steps:
            yield next(streams[step.source])

    def _share(self, step: Step) -> Tensor:
        share = self.ranks.share(step.positions)
        return share if len(share) else step.positions[:1]

    def _locate(self, steps: int) -> None:
        """Set progress, learning rate and the attack's budget for the step to come."""
        self.progress = self.epoch + self.step / steps
        if self.trainer.budget_seconds is not None:
            self.progress = self._used() / self.trainer.budget_seconds * self.trainer.epochs
        self.lr = self.lr_at(self.progress)
        if self.trainer.attack is not None:
            self.epsilon = warmed_up(
                self.trainer.attack.epsilon, int(self.progress), self.trainer.warmup_epochs
            )

    def _update(self, planned: Step, images: Images) -> None:
        x, targets, ids = images
        source = self.sources[planned.source]
        noise = source.draws.noise(
            ids, self.epoch, self.trainer.num_noise, x.shape[1:], self.g.sigma
        )
        present = len(self.ranks.share(planned.positions)) > 0
        # DDP averages over processes what must be the mean over images, however unequal the shares.
        scale = source.weight * self.ranks.size / len(planned.positions) if present else 0.0
        attack = with_epsilon(self.trainer.attack, self.epsilon)
        self.stepper.step(x, targets, noise, lr=self.lr, attack=attack, scale=scale)

    def _used(self) -> float:
        return self.ranks.agree(self.clock.seconds, self.device)

    def _finished(self) -> bool:
        if self.trainer.budget_seconds is not None:
            return self._used() >= self.trainer.budget_seconds
        return self.epoch >= self.trainer.epochs

    def _between_steps(self) -> None:
        """Save where a signal or the time asks for it, and see that the loss is still a number."""
        look = self.device.type == "cpu" or self.steps_done % LOOK_EVERY == 0
        if look:
            guards.check_loss(float(self.stepper.meter.totals[0]), self.trainer, self.epoch)
        if self.folder is None or (self.ranks.size > 1 and not look):
            return
        signal = int(self.ranks.agree(self.interruption.received, self.device))
        due = time.monotonic() - self.last_saved >= self.trainer.checkpoint_seconds
        if signal or self.ranks.agree(float(due), self.device):
            with self.clock.paused():
                self._save()
        if signal:
            self.interruption.end(
                signal,
                f"saved after step {self.step} of epoch {self.epoch}; call fit again with "
                f"run_dir={str(self.folder.path)!r} to go on from there",
            )

    def _end_epoch(self, bar: tqdm[Any]) -> None:
        totals = Totals(self.stepper.meter, self.ranks)
        guards.check_loss(totals.loss, self.trainer, self.epoch)
        guards.check_weights(self.g.base, self.trainer, self.epoch)  # before best.pt is written
        row: dict[str, float | int | str] = {
            "epoch": self.epoch,
            "train_loss": totals.mean_loss,
            "train_accuracy": totals.accuracy,
            "epsilon": self.epsilon,
            "lr": self.lr,
            "images": int(totals.images),
            "steps": self.step,
            "seconds": self.clock.seconds,
            "precision": self.precision,
        }
        self._guard(totals, "training")
        if self.validation is not None:
            held_out = evaluate(
                self.g,
                self.validation,
                seed=self.trainer.seed,
                batch_size=4 * self.trainer.batch_size,
                device=self.device,
                ranks=self.ranks,
            )
            self._guard(held_out, "validation")
            row |= {"validation_loss": held_out.mean_loss, "validation_accuracy": held_out.accuracy}
            if held_out.accuracy > self.best:
                self.best = held_out.accuracy
                self._save_model("best.pt")
        self.history.append(row)
        shown = row.get("validation_accuracy", totals.accuracy)
        bar.set_postfix(loss=f"{totals.mean_loss:.3f}", accuracy=f"{shown:.3f}", refresh=False)
        self.epoch, self.step = self.epoch + 1, 0
        self.stepper.meter.totals.zero_()
        self._save()

    def _guard(self, totals: Totals, where: str) -> None:
        past_warmup = int(self.progress) >= min(self.trainer.warmup_epochs, self.trainer.epochs - 1)
        if past_warmup and self.steps_done >= JUDGED_AFTER:
            guards.check_collapse(totals.predicted, totals.labels, self.trainer, self.epoch, where)

    def _save_model(self, name: str) -> None:
        if self.folder is not None and self.ranks.first:
            self.g.save(self.folder.path / name)

    def _save(self) -> None:
        """Write the checkpoint, if there is a folder, from the first process."""
        if self.folder is None:
            return
        totals = self.ranks.total(self.stepper.meter.totals)
        guards.check_weights(self.g.base, self.trainer, self.epoch)
        if self.ranks.first:
            self.folder.save(self.state(totals))
        self.last_saved = time.monotonic()

    def state(self, totals: Tensor) -> dict[str, Any]:
        """All that the run goes on from, as plain values and tensors."""
        return {
            "model": self.g.base.state_dict(),
            "optimizer": self.stepper.optimizer.state_dict(),
            "totals": totals,
            "epoch": self.epoch,
            "step": self.step,
            "steps_done": self.steps_done,
            "progress": self.progress,
            "lr": self.lr,
            "epsilon": self.epsilon,
            "history": self.history,
            "best": self.best,
            "seconds": self.clock.seconds,
            "precision": self.precision,
            "random_state": torch.get_rng_state(),
            "device_random_state": torch.cuda.get_rng_state(self.device)
            if self.device.type == "cuda"
            else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken; KeyError, ValueError, TypeError or RuntimeError if
        it is not whole.
        """
        load_weights(self.g.base, state["model"], source="the checkpoint")
        self.stepper.optimizer.load_state_dict(state["optimizer"])
        if self.ranks.first:
            self.stepper.meter.totals.copy_(state["totals"])
        for name in ("epoch", "step", "steps_done", "progress", "lr", "epsilon", "history", "best"):
            setattr(self, name, state[name])
        self.clock = TrainingClock(self.trainer.budget_clock, state["seconds"])
        torch.set_rng_state(state["random_state"])
        if self.device.type == "cuda" and state["device_random_state"] is not None:
            torch.cuda.set_rng_state(state["device_random_state"], self.device)
