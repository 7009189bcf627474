"""What the steps of an epoch are given: images, noise and extras, the share of this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rsmooth.data.items import AnyData
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import Draws
from rsmooth.training.plan import Step, plan_epoch
from rsmooth.training.recipe import Recipe
from rsmooth.training.sampling import EpochStart, check_state, check_weights
from rsmooth.training.sources import Images, Source
from rsmooth.training.views import Views


class Given(NamedTuple):
    """What this process is given for one step; the tensors are as in ``Batch``.

    scale: what the sum of the images' losses is multiplied by.
    draws: of the source that the images come from.
    """

    x: Tensor
    targets: Tensor
    noise: Tensor
    ids: Tensor
    extras: Mapping[str, Tensor]
    scale: float
    draws: Draws


class Feed:
    """The images of a run, epoch by epoch.

    data: the labelled training images as they are at rest.
    sources: of training images, those of ``data`` first.
    extras: further columns of the training images, by name.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: AnyData,
        sources: Sequence[Source],
        extras: Mapping[str, Tensor],
        noise: NoiseDistribution,
        ranks: Ranks,
        device: torch.device,
    ) -> None:
        self._recipe, self._data, self._sources, self._extras = recipe, data, sources, extras
        self._noise, self._ranks, self._device = noise, ranks, device
        # Of this epoch's sampling, as the method gave them.
        self._weights: Tensor | None = None
        self._method_state: dict[str, Any] = {}

    def choose(self, epoch: int, progress: float, views: Views) -> None:
        """Ask the method how often this epoch draws each image; the first process decides."""
        if type(self._recipe).sample_weights is Recipe.sample_weights:
            return
        g, draws = views.attacked(), self._sources[0].draws
        start = EpochStart(epoch, progress, g, self._data, draws, self._device, self._method_state)
        with torch.no_grad():
            found = self._recipe.sample_weights(start)
        weights = None if found is None else check_weights(found, start.count)
        check_state(start.state)
        self._weights, self._method_state = self._ranks.share_object((weights, start.state))

    def plan(self, epoch: int) -> list[Step]:
        """The steps of an epoch."""
        recipe = self._recipe
        return plan_epoch(self._sources, epoch, recipe.batch_size, recipe.num_noise, self._weights)

    def steps(self, steps: Sequence[Step], epoch: int) -> Iterator[Given]:
        """What each of the steps is given; one image of scale 0 where the share would be empty."""
        streams = []
        for which, source in enumerate(self._sources):
            mine = [step for step in steps if step.source == which]
            visits = [self._share(step.visits) for step in mine if step.visits is not None]
            shares = [self._share(step.positions) for step in mine]
            streams.append(source.batches(shares, epoch, visits or None))
        for step in steps:
            yield self._given(step, next(streams[step.source]), epoch)

    def _given(self, step: Step, images: Images, epoch: int) -> Given:
        x, targets, ids = images
        source = self._sources[step.source]
        visits = None if step.visits is None else self._share(step.visits).to(ids.device)
        noise = source.draws.noise(
            ids, epoch, self._recipe.num_noise, x.shape[1:], self._noise, visits
        )
        extras = {}
        if self._extras:
            positions = self._share(step.positions).to(self._device)
            extras = {name: column[positions] for name, column in self._extras.items()}
        present = len(self._ranks.share(step.positions)) > 0
        # DDP averages over processes what must be the mean over images, however unequal the shares.
        scale = source.weight * self._ranks.size / len(step.positions) if present else 0.0
        return Given(x, targets, noise, ids, extras, scale, source.draws)

    def _share(self, values: Tensor) -> Tensor:
        share = self._ranks.share(values)
        return share if len(share) else values[:1]

    def state(self) -> dict[str, Any]:
        """The weights of the sampling, and what the method keeps, for a checkpoint."""
        return {"weights": self._weights, "state": self._method_state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        self._weights, self._method_state = state["weights"], state["state"]
