"""Mini-batches of one image, for which batch norm may have a single value per channel."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.recipe import Recipe

_OF_TORCH = "Expected more than 1"  # how torch's layers begin this refusal


def check_singles(
    recipe: Recipe, g: SmoothedClassifier, count: int, shape: tuple[int, ...], processes: int = 1
) -> None:
    """ValueError, before the first step, where a mini-batch of one image would stop the training.

        check_singles(recipe, g, count=33, shape=(1, 8, 8))      # of batches of 8: the last has one

    It runs a copy of the base in train mode on the copies of one image, and only where ``count``
    leaves such a mini-batch. A pass over more than one pixel normalises well.
    """
    if smallest_share(count, recipe.batch_size, recipe.num_noise, processes) > 1:
        return
    try:
        base = copy.deepcopy(g.base).train()
    except Exception:  # what cannot be copied is not tried
        return
    points = torch.zeros((recipe.num_noise, *shape), device="cpu")
    parameter = next(base.parameters(), points)
    with torch.random.fork_rng(), torch.no_grad(), in_our_words(recipe, count, processes):
        base(points.to(parameter.device, parameter.dtype))


def smallest_share(count: int, batch_size: int, num_noise: int, processes: int = 1) -> int:
    """The fewest images that a pass sees: of the mini-batches of a step, of one process."""
    sizes = {batch_size, count % batch_size or batch_size} if count > batch_size else {count}
    parts = {size // num_noise if size >= num_noise else 1 for size in sizes}
    return max(1, min(parts) // processes)


@contextmanager
def in_our_words(recipe: Recipe, count: int, processes: int = 1) -> Iterator[None]:
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
            f"{_fitting(recipe, count, processes)}, or leave an image out"
        ) from error


def _fitting(recipe: Recipe, count: int, processes: int) -> str:
    """A batch size near the given one that leaves no mini-batch of one image."""
    near = sorted(
        range(2, 2 * recipe.batch_size + 8 * processes + 1),
        key=lambda size: abs(size - recipe.batch_size),
    )
    shares = ((size, smallest_share(count, size, recipe.num_noise, processes)) for size in near)
    found = (size for size, share in shares if share > 1)
    size = next(found, None)
    return "" if size is None else f", such as {size}"
