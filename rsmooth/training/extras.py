"""Extras: further columns of the training images, as given to ``fit`` or made by the method."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from torch import Tensor

from rsmooth.data.items import AnyData, ItemData
from rsmooth.plumbing.errors import remedy
from rsmooth.plumbing.tensors import check_tensor
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.recipe import Recipe
from rsmooth.training.sampling import RunStart


def check_extras(extras: Mapping[str, Tensor] | None, count: int) -> None:
    """TypeError or ValueError unless each of the extras has one row per training image."""
    if not isinstance(extras, (Mapping, type(None))):
        raise TypeError(
            f"expected extras as columns by name, got {type(extras).__name__}; give it e.g. as "
            '{"difficulty": tensor}'
        )
    for name, column in (extras or {}).items():
        check_tensor(column, f"extras[{name!r}]")
        if column.ndim == 0 or len(column) != count:
            raise ValueError(
                f"expected extras[{name!r}] with one row per training image ({count}, ...), got "
                f"{tuple(column.shape)}; keep the order of the training images"
            )


def all_extras(
    recipe: Recipe,
    g: SmoothedClassifier,
    data: AnyData,
    given: Mapping[str, Tensor],
    run_dir: str | PathLike[str] | None,
    ranks: Ranks,
    progress: bool,
) -> dict[str, Tensor]:
    """The extras of a run: those given, and those that the method makes because it needs them.

    ValueError where one that it needs is absent, or is no class probabilities. ValueError too where
    it is to be made of images that change from reading to reading.
    """
    found = {name: values.detach() for name, values in given.items()}
    lacking = [name for name in recipe.needs if name not in found]
    if lacking:
        if isinstance(data, ItemData):
            raise ValueError(
                f"expected the same images at every reading, of which {type(recipe).__name__} "
                f"makes extras[{lacking[0]!r}], got a data set with random transforms; leave these "
                "out, or give the extras to fit"
            )
        folder = None if run_dir is None else Path(run_dir)
        start = RunStart(g, data, folder, progress and ranks.first, ranks.wait)
        made = recipe.make_extras(start)
        check_extras(made, len(data))
        found = {**made, **found}
    for name in recipe.needs:
        if name not in found:
            raise _lacking(recipe, name)
        _check_probabilities(found[name], name, g.num_classes)
    return found


def _lacking(recipe: Recipe, name: str) -> ValueError:
    return ValueError(
        f"expected extras[{name!r}] for {type(recipe).__name__}, got none; "
        + remedy(
            f'give them to fit as extras={{"{name}": tensor}}, or let the trainer make '
            "them by its options",
            "let the trainer make them by its options, such as --trainer.teacher RUN; "
            "rsmooth list trainers has them",
        )
    )


def _check_probabilities(column: Tensor, name: str, num_classes: int) -> None:
    fitting = column.ndim == 2 and column.shape[1] == num_classes and column.is_floating_point()
    if not (
        fitting and bool((column >= 0).all()) and bool(((column.sum(dim=1) - 1).abs() < 1e-3).all())
    ):
        raise ValueError(
            f"expected extras[{name!r}] as class probabilities (N, {num_classes}), each row >= 0 "
            f"with a sum of 1, got {tuple(column.shape)} {column.dtype} of other values; divide "
            "votes by their number"
        )
