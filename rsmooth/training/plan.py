"""The plan of an epoch: its optimiser steps, and the images of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.training.sampling import occurrences
from rsmooth.training.sources import Source


@dataclass(frozen=True)
class Step:
    """One optimiser step, for all processes together.

    source: the number of the source. positions: of its images.
    visits: how often each image came before in this epoch; None where each comes once.
    """

    source: int
    positions: Tensor
    visits: Tensor | None = None


def plan_epoch(
    sources: Sequence[Source],
    epoch: int,
    batch_size: int,
    num_noise: int,
    weights: Tensor | None = None,
) -> list[Step]:
    """The optimiser steps of an epoch, in order.

    weights: (N,), how often to draw each image of the first source; None takes each once.

    The first source gives batches of ``batch_size``. Each is cut into ``num_noise`` mini-batches of
    one step. The last ones may be smaller; none is dropped. With weights as many images are drawn,
    in proportion to them and with replacement. After each batch, every further source gives one.
    """
    count, draws = len(sources[0]), sources[0].draws
    order = draws.order(count, epoch) if weights is None else draws.weighted(weights, epoch)
    visits = None if weights is None else occurrences(order)
    main = list(torch.split(torch.arange(count), batch_size))
    turns = [[order[part] for part in main]]
    turns += [_enough(source, epoch, len(main), batch_size) for source in sources[1:]]
    steps = []
    for number, turn in enumerate(zip(*turns, strict=True)):
        for which, batch in enumerate(turn):
            again = visits[main[number]] if visits is not None and which == 0 else None
            steps += _mini_batches(which, batch, again, num_noise)
    return steps


def _mini_batches(which: int, batch: Tensor, visits: Tensor | None, num_noise: int) -> list[Step]:
    parts = batch.tensor_split(num_noise)
    again = [None] * num_noise if visits is None else list(visits.tensor_split(num_noise))
    return [Step(which, part, seen) for part, seen in zip(parts, again, strict=True) if len(part)]


def _enough(source: Source, epoch: int, count: int, batch_size: int) -> list[Tensor]:
    """``count`` whole batches of a source: of this epoch's order, or of several if it is short."""
    rounds = -(-count * batch_size // len(source))
    orders = [source.draws.order(len(source), epoch * rounds + turn) for turn in range(rounds)]
    return list(torch.split(torch.cat(orders)[: count * batch_size], batch_size))
