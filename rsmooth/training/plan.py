"""The plan of an epoch: its optimiser steps, and the images of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rsmooth.training.sampling import occurrences
from rsmooth.training.sources import Source


@dataclass(frozen=True)
class Step:
    """One optimiser step, for all processes together.

    source: the number of the source. positions: of its images.
    visits: how often each image came before in this epoch; None where each comes once.
    others: images of further sources in the same mini-batch, as (source, positions).
    """

    source: int
    positions: Tensor
    visits: Tensor | None = None
    others: tuple[tuple[int, Tensor], ...] = ()

    def __len__(self) -> int:
        """The number of images."""
        return len(self.positions) + sum(len(positions) for _, positions in self.others)


def plan_epoch(
    sources: Sequence[Source],
    epoch: int,
    batch_size: int,
    num_noise: int,
    weights: Tensor | None = None,
    share: float | None = None,
) -> list[Step]:
    """The optimiser steps of an epoch, in order.

    weights: (N,), how often to draw each image of the first source; None takes each once.
    share: of the images of further sources in every mini-batch; None is for batches of their own.

    The first source gives batches of ``batch_size``. Each is cut into ``num_noise`` mini-batches of
    one step. The last ones may be smaller; none is dropped. With weights as many images are drawn,
    in proportion to them and with replacement. After each batch, every further source gives one;
    with a share they are in one batch together, of which the first source gives the rest.
    """
    count, draws = len(sources[0]), sources[0].draws
    order = draws.order(count, epoch) if weights is None else draws.weighted(weights, epoch)
    visits = None if weights is None else occurrences(order)
    if share is not None and len(sources) == 2:
        theirs = min(max(round(share * batch_size), 1), batch_size - 1)
        return _mixed(order, visits, sources[1], epoch, (batch_size - theirs, theirs), num_noise)
    main = list(torch.split(torch.arange(count), batch_size))
    turns = [[order[part] for part in main]]
    turns += [_enough(source, epoch, len(main), batch_size) for source in sources[1:]]
    steps = []
    for number, turn in enumerate(zip(*turns, strict=True)):
        for which, batch in enumerate(turn):
            again = visits[main[number]] if visits is not None and which == 0 else None
            steps += _mini_batches(which, batch, again, num_noise)
    return steps


def _mixed(
    order: Tensor,
    visits: Tensor | None,
    other: Source,
    epoch: int,
    sizes: tuple[int, int],
    num_noise: int,
) -> list[Step]:
    """Batches of two sources together; sizes: how many images each gives to a whole batch."""
    steps = []
    ours = list(torch.split(torch.arange(len(order)), sizes[0]))
    for part, theirs in zip(ours, _enough(other, epoch, len(ours), sizes[1]), strict=True):
        again = None if visits is None else visits[part]
        # The last batch may be smaller, and keeps the share.
        kept = theirs[: max(round(len(part) * sizes[1] / sizes[0]), 1)]
        steps += _mini_batches(0, order[part], again, num_noise, (1, kept))
    return steps


def _mini_batches(
    which: int,
    batch: Tensor,
    visits: Tensor | None,
    num_noise: int,
    beside: tuple[int, Tensor] | None = None,
) -> list[Step]:
    parts = batch.tensor_split(num_noise)
    again = [None] * num_noise if visits is None else list(visits.tensor_split(num_noise))
    steps = [Step(which, part, seen) for part, seen in zip(parts, again, strict=True)]
    if beside is not None:
        other, positions = beside
        theirs = positions.tensor_split(num_noise)
        steps = [
            replace(step, others=((other, part),) if len(part) else ())
            for step, part in zip(steps, theirs, strict=True)
        ]
    return [step for step in steps if len(step.positions)]


def _enough(source: Source, epoch: int, count: int, batch_size: int) -> list[Tensor]:
    """``count`` whole batches of a source: of this epoch's order, or of several if it is short."""
    rounds = -(-count * batch_size // len(source))
    orders = [source.draws.order(len(source), epoch * rounds + turn) for turn in range(rounds)]
    return list(torch.split(torch.cat(orders)[: count * batch_size], batch_size))
