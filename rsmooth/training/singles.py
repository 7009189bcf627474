"""Mini-batches of one image, for which batch norm may have a single value per channel."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.plan import count_beside, sizes_of_both
from rsmooth.training.recipe import Recipe

_OF_TORCH = "Expected more than 1"  # how torch's layers begin this refusal


def check_singles(
    recipe: Recipe,
    g: SmoothedClassifier,
    count: int,
    shape: tuple[int, ...],
    processes: int = 1,
    share: float | None = None,
) -> None:
    """ValueError, before the first step, where a mini-batch of one image would stop the training.

        check_singles(recipe, g, count=33, shape=(1, 8, 8))      # of batches of 8: the last has one

    It runs a copy of the base in train mode on the copies of one image, and only where ``count``
    leaves such a mini-batch. A pass over more than one pixel normalises well.

    share: of pseudo-labelled images in every mini-batch, where there are such.
    """
    if smallest_share(count, recipe.batch_size, recipe.num_noise, processes, share) > 1:
        return
    try:
        base = copy.deepcopy(g.base).train()
    except Exception:  # what cannot be copied is not tried
        return
    points = torch.zeros((recipe.num_noise, *shape), device="cpu")
    parameter = next(base.parameters(), points)
    with torch.random.fork_rng(), torch.no_grad(), in_our_words(recipe, count, processes, share):
        base(points.to(parameter.device, parameter.dtype))


def smallest_share(
    count: int, batch_size: int, num_noise: int, processes: int = 1, share: float | None = None
) -> int:
    """The fewest images that a pass sees: of the mini-batches of a step, of one process.

    share: of pseudo-labelled images in every mini-batch, beside the ``count`` others.
    """
    both = sizes_of_both(batch_size, share)
    whole = both[0]
    sizes = {whole, count % whole or whole} if count > whole else {count}
    seen = [
        ours // processes + theirs // processes
        for size in sizes
        for ours, theirs in zip(
            _cut(size, num_noise), _cut(count_beside(size, both), num_noise), strict=True
        )
        if ours
    ]
    # A process without an image is given one.
    return max(1, min(seen))


def _cut(size: int, parts: int) -> list[int]:
    """The sizes of the parts into which a batch is cut."""
    return [size // parts + (part < size % parts) for part in range(parts)]


@contextmanager
def in_our_words(
    recipe: Recipe, count: int, processes: int = 1, share: float | None = None
) -> Iterator[None]:
    """A context in which torch's refusal of one value per channel says what to change."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(_OF_TORCH):
            raise
        raise ValueError(
            "expected mini-batches of two images or more, since batch norm would have a single "
            f"value per channel, got one of 1 image of {count} in batches of {recipe.batch_size} "
            f"with num_noise={recipe.num_noise}; choose another batch_size"
            f"{_fitting(recipe, count, processes, share)}, or leave an image out"
        ) from error


def _fitting(recipe: Recipe, count: int, processes: int, share: float | None) -> str:
    """A batch size near the given one that leaves no mini-batch of one image."""
    near = sorted(
        range(2, 2 * recipe.batch_size + 8 * processes + 1),
        key=lambda size: abs(size - recipe.batch_size),
    )
    found = (
        size for size in near if smallest_share(count, size, recipe.num_noise, processes, share) > 1
    )
    size = next(found, None)
    return "" if size is None else f", such as {size}"
