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
    others: images of further sources in the same mini-batch, one step for each.
    """

    source: int
    positions: Tensor
    visits: Tensor | None = None
    others: tuple[Step, ...] = ()

    def __len__(self) -> int:
        """The number of images."""
        return len(self.positions) + sum(map(len, self.others))


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
    with a share they are in one batch together, of which the first source gives the rest. A short
    further source gives its images several times.
    """
    count, draws = len(sources[0]), sources[0].draws
    order = draws.order(count, epoch) if weights is None else draws.weighted(weights, epoch)
    visits = None if weights is None else occurrences(order)
    if share is not None and len(sources) == 2:
        sizes = sizes_of_both(batch_size, share)
        return _mixed(order, visits, sources[1], epoch, sizes, num_noise)
    turns = [_batches(order, visits, batch_size)]
    turns += [_enough(source, epoch, len(turns[0]), batch_size) for source in sources[1:]]
    steps = []
    for turn in zip(*turns, strict=True):
        for which, (batch, again) in enumerate(turn):
            steps += _mini_batches(which, batch, again, num_noise)
    return steps


def sizes_of_both(batch_size: int, share: float | None) -> tuple[int, int]:
    """How many images of the first and of a further source are in a whole batch together.

    sizes_of_both(8, 0.25)      # (6, 2)
    """
    if share is None:
        return batch_size, 0
    theirs = min(max(round(share * batch_size), 1), batch_size - 1)
    return batch_size - theirs, theirs


def count_beside(count: int, sizes: tuple[int, int]) -> int:
    """The images beside ``count`` of the first source: the last batch, too, keeps the share.

    count_beside(3, (6, 2))     # 1
    """
    return max(round(count * sizes[1] / sizes[0]), 1) if sizes[1] else 0


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
    ours = _batches(order, visits, sizes[0])
    others = _enough(other, epoch, len(ours), sizes[1])
    for (part, again), (theirs, seen) in zip(ours, others, strict=True):
        kept = count_beside(len(part), sizes)
        beside = Step(1, theirs[:kept], None if seen is None else seen[:kept])
        steps += _mini_batches(0, part, again, num_noise, beside)
    return steps


def _mini_batches(
    which: int,
    batch: Tensor,
    visits: Tensor | None,
    num_noise: int,
    beside: Step | None = None,
) -> list[Step]:
    steps = _parts(Step(which, batch, visits), num_noise)
    if beside is not None:
        steps = [
            replace(step, others=(part,) if len(part) else ())
            for step, part in zip(steps, _parts(beside, num_noise), strict=True)
        ]
    return [step for step in steps if len(step.positions)]


def _parts(step: Step, count: int) -> list[Step]:
    parts = step.positions.tensor_split(count)
    again = [None] * count if step.visits is None else list(step.visits.tensor_split(count))
    return [Step(step.source, part, seen) for part, seen in zip(parts, again, strict=True)]


def _batches(order: Tensor, visits: Tensor | None, size: int) -> list[tuple[Tensor, Tensor | None]]:
    """The images in this order and their visits, ``size`` at a time."""
    parts = list(torch.split(order, size))
    again = [None] * len(parts) if visits is None else list(torch.split(visits, size))
    return list(zip(parts, again, strict=True))


def _enough(
    source: Source, epoch: int, count: int, batch_size: int
) -> list[tuple[Tensor, Tensor | None]]:
    """``count`` whole batches of a source: of this epoch's order, or of several if it is short."""
    rounds = -(-count * batch_size // len(source))
    orders = [source.draws.order(len(source), epoch * rounds + turn) for turn in range(rounds)]
    order = torch.cat(orders)[: count * batch_size]
    # Or an image that comes again would have the same crop and noise as before.
    return _batches(order, occurrences(order) if rounds > 1 else None, batch_size)
