"""What the steps of an epoch are given: images, noise and extras, the share of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rsmooth.data.items import AnyData
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.noise.normal import expect_normals
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import Draws, JoinedDraws, by_kernel, joined
from rsmooth.training.plan import Step, plan_epoch
from rsmooth.training.recipe import Recipe
from rsmooth.training.sampling import EpochStart, check_state, check_weights
from rsmooth.training.sources import Images, Source
from rsmooth.training.views import Views


class Given(NamedTuple):
    """What this process is given for one step; the tensors are as in ``Batch``.

    scale: what the sum of the images' losses is multiplied by.
    draws: of the sources that the images come from.
    """

    x: Tensor
    targets: Tensor
    noise: Tensor
    ids: Tensor
    extras: Mapping[str, Tensor]
    scale: float
    draws: Draws | JoinedDraws


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
        self._announced = False

    def choose(self, epoch: int, progress: float, views: Views, heed: Callable[[], None]) -> None:
        """Ask the method how often this epoch draws each image; the first process decides.

        heed: called between the images that it looks at.
        """
        if type(self._recipe).sample_weights is Recipe.sample_weights:
            return
        g, draws = views.attacked(), self._sources[0].draws
        start = EpochStart(
            epoch, progress, g, self._data, draws, self._device, self._method_state, heed
        )
        with torch.no_grad():
            found = self._recipe.sample_weights(start)
        weights = None if found is None else check_weights(found, start.count)
        check_state(start.state)
        self._weights, self._method_state = self._ranks.share_object((weights, start.state))

    def plan(self, epoch: int) -> list[Step]:
        """The steps of an epoch."""
        recipe = self._recipe
        return plan_epoch(
            self._sources,
            epoch,
            recipe.batch_size,
            recipe.num_noise,
            self._weights,
            recipe.unlabelled_share,
        )

    def steps(self, steps: Sequence[Step], epoch: int) -> Iterator[Given]:
        """What each of the steps is given; one image of scale 0 where the share would be empty."""
        parts = [self._parts(step) for step in steps]
        streams = []
        for which, source in enumerate(self._sources):
            mine = [part for given in parts for part in given if part.source == which]
            visits = [part.visits for part in mine if part.visits is not None]
            shares = [part.positions for part in mine]
            streams.append(source.batches(shares, epoch, visits or None))
        for step, given in zip(steps, parts, strict=True):
            images = [next(streams[part.source]) for part in given]
            yield self._given(step, given, images, epoch)

    def _parts(self, step: Step) -> list[Step]:
        """What this process takes of each source for a step."""
        first = replace(step, others=())
        mine = [self._share(part) for part in (first, *step.others)]
        # One image where there is none, so that the process keeps in step with the others.
        return [part for part in mine if len(part)] or [_first_image(first)]

    def _given(
        self, step: Step, parts: Sequence[Step], images: Sequence[Images], epoch: int
    ) -> Given:
        noises = [
            self._noise_of(part, *one, epoch) for part, one in zip(parts, images, strict=True)
        ]
        xs, targets, ids = zip(*images, strict=True)
        extras = {}
        if self._extras:
            positions = parts[0].positions.to(self._device)
            extras = {name: column[positions] for name, column in self._extras.items()}
        present = any(len(self._ranks.share(part)) for part in _positions(step))
        sources = [self._sources[part.source] for part in parts]
        # DDP averages over processes what must be the mean over images, however unequal the shares.
        scale = sources[0].weight * self._ranks.size / len(step) if present else 0.0
        draws = joined([(source.draws, len(one)) for source, one in zip(sources, ids, strict=True)])
        return Given(
            _joined(xs),
            _joined(_alike(targets)),
            _joined(noises),
            _joined(ids),
            extras,
            scale,
            draws,
        )

    def _noise_of(self, part: Step, x: Tensor, _: Tensor, ids: Tensor, epoch: int) -> Tensor:
        visits = None if part.visits is None else part.visits.to(ids.device)
        draws, copies = self._sources[part.source].draws, self._recipe.num_noise
        self._announce(copies * x[0].numel(), epoch)
        return draws.noise(ids, epoch, copies, x.shape[1:], self._noise, visits)

    def _announce(self, values: int, epoch: int) -> None:
        """Say once how much noise is to come; ``values`` per image. A time budget does not tell."""
        budget = self._recipe.budget_seconds
        if not self._announced and budget is None and by_kernel(self._noise):
            images = sum(map(len, self._sources)) * (self._recipe.epochs - epoch)
            expect_normals(images * values // self._ranks.size, self._device)
        self._announced = True

    def _share(self, part: Step) -> Step:
        visits = None if part.visits is None else self._ranks.share(part.visits)
        return Step(part.source, self._ranks.share(part.positions), visits)

    def state(self) -> dict[str, Any]:
        """The weights of the sampling, and what the method keeps, for a checkpoint."""
        return {"weights": self._weights, "state": self._method_state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        self._weights, self._method_state = state["weights"], state["state"]


def _first_image(step: Step) -> Step:
    visits = None if step.visits is None else step.visits[:1]
    return Step(step.source, step.positions[:1], visits)


def _positions(step: Step) -> list[Tensor]:
    return [part.positions for part in (step, *step.others)]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _alike(targets: Sequence[Tensor]) -> list[Tensor]:
    """Labels as class probabilities, where any of the targets are probabilities."""
    soft = next((each for each in targets if each.ndim == 2), None)
    if soft is None or len(targets) == 1:
        return list(targets)
    classes = soft.shape[1]
    return [one_hot(each, classes).to(soft.dtype) if each.ndim == 1 else each for each in targets]
