"""One optimiser step: a method's losses, the update, the metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from rsmooth.attacks.base import Attack
from rsmooth.models import memory
from rsmooth.models.precision import Precision
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.averaging import MovingAverage
from rsmooth.training.batch import Batch, When, check_losses
from rsmooth.training.compilation import compiled
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import Draws, JoinedDraws
from rsmooth.training.graphs import CudaRecorder, Recorder, Replayed
from rsmooth.training.meter import Meter
from rsmooth.training.optimizers import make_recordable
from rsmooth.training.recipe import Recipe
from rsmooth.training.views import Views


class Stepper:
    """The optimiser, and the views of the classifier that a step needs."""

    def __init__(
        self, recipe: Recipe, g: SmoothedClassifier, ranks: Ranks, precision: Precision
    ) -> None:
        self.recipe, self.g, self.ranks = recipe, g, ranks
        self.parameters = recipe.trained_parameters(g.base)
        if not self.parameters:
            raise ValueError(
                "expected parameters to train, got none; check frozen_parts, and requires_grad of "
                "the parameters"
            )
        self.device = self.parameters[0].device
        self.optimizer = recipe.build_optimizer(self.parameters)
        base = ranks.synchronised(g.base)
        trained = compiled(base, self.device) if recipe.compile else base
        fold = (recipe.attack is not None or recipe.searches) and recipe.fold_attack
        self.views = Views(g, trained, base, precision, fold=fold)
        self.average = None if recipe.ema_decay is None else MovingAverage(g, recipe.ema_decay)
        self.meter = Meter(g.num_classes, self.device, recipe.figures)
        self.when, self._names = When(0, 0.0), tuple[str, ...]()
        self.draws: Draws | JoinedDraws = Draws(recipe.seed)
        self._losses = ranks.wrap(_Losses(recipe, base))
        self._recorder = self._choose_recorder()
        self._update = Replayed(self._work, self._recorder)
        # From here a recorded step reads the learning rate.
        self._lr = torch.zeros((), dtype=torch.float32, device=self.device)

    def _choose_recorder(self) -> Recorder | None:
        """What records the steps: only on one GPU, and not for an attack that waits for it."""
        attack = self.recipe.attack
        recordable = attack is None or attack.recordable
        on_gpu = self.device.type == "cuda" and self.ranks.size == 1
        wanted = self.recipe.cuda_graphs and on_gpu and recordable
        return CudaRecorder(self.device) if wanted else None

    def step(
        self,
        x: Tensor,
        targets: Tensor,
        noise: Tensor,
        ids: Tensor,
        *,
        lr: float,
        attack: Attack | None,
        scale: float,
        extras: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Update the weights on one mini-batch; the tensors are as in ``Batch``.

        scale: what the sum of the images' losses is multiplied by. 0 is for images that only keep
            this process in step with the others.
        """
        if self._recorder is not None:  # each time, since a loaded state says otherwise
            make_recordable(self.optimizer)
        for group in self.optimizer.param_groups:
            group["lr"] = lr if self._recorder is None else self._lr.fill_(lr)
        columns = extras or {}
        self._names = tuple(columns)
        self._update(x, targets, noise, ids, *columns.values(), attack=attack, scale=scale)
        self.views.weights_moved()  # a method may have looked at the ones before
        if self.average is not None:
            self.average.update(self.g.base)

    def _work(
        self,
        x: Tensor,
        targets: Tensor,
        noise: Tensor,
        ids: Tensor,
        *columns: Tensor,
        attack: Attack | None,
        scale: float,
    ) -> None:
        extras = dict(zip(self._names, columns, strict=True))
        batch = Batch(x, targets, noise, ids, extras, attack, self.views, self.draws, self._moving)
        self.views.weights_moved()
        self.recipe.set_modes(self.views.module)
        losses = check_losses(self._losses(batch), batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.sum() * scale)
        if self.recipe.clip_grad_norm is not None:
            clip_grad_norm_(self.parameters, self.recipe.clip_grad_norm)
        self.optimizer.step()
        # Where autocast has been on since before this run, it would go on with the former weights.
        torch.clear_autocast_cache()
        if scale:
            self.meter.add(losses.detach(), batch.first_log_probs, batch.y, batch.notes)

    def _moving(self, what: str) -> When:
        """Where the run is, for a method that asks; in a recorded step it would not move."""
        self._update.give_up(f"the method reads batch.{what}, which differs from step to step")
        return self.when


class _Losses(nn.Module):
    """A method's whole work as a module, so that DDP sees all passes of a step as one."""

    def __init__(self, recipe: Recipe, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self._recipe = recipe

    def forward(self, batch: Batch) -> Tensor:
        return self._recipe.losses(batch)


def with_epsilon(attack: Attack | None, epsilon: float) -> Attack | None:
    """The attack with another epsilon; the given one stays as it is."""
    return None if attack is None else replace(attack, epsilon=epsilon)


@contextmanager
def memory_format(base: nn.Module, channels_last: bool) -> Iterator[None]:
    """A context in which the convolutions' weights are channels last, if asked for.

    Afterwards they lie as they did before.
    """
    if not channels_last:
        yield
        return
    others = {name for name, own in _named_tensors(base) if not own.is_contiguous()}
    memory.channels_last(base)
    try:
        yield
    finally:
        back = {id(own) for name, own in _named_tensors(base) if name not in others}
        memory.contiguous(base, lambda tensor: id(tensor) in back)


def _named_tensors(base: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(base.named_parameters(), base.named_buffers())
