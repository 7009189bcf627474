"""The images that a verb works on: a split of a data set, or every k-th image of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.config.environment import create_here
from rsmooth.config.folder import CONFIG, read_config
from rsmooth.config.specs import Spec, split_spec
from rsmooth.models.shipped import is_shipped
from rsmooth.plumbing.exits import in_one_line
from rsmooth.registry import DATASETS

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.data.splits import DataSplits


def choose_images(
    dataset: Spec | None,
    source: Path | None,
    *,
    split: str,
    skip: int,
    limit: int | None,
    only: Sequence[int] | None,
) -> ImageData | FolderData:
    """Images 0, skip, 2*skip, ... of a split, at most ``limit``, or those with indices ``only``.

        choose_images("digits", None, split="test", skip=20, limit=500, only=None)

    dataset None: the data set that the run folder ``source`` was trained on. ValueError for a split
    or an index that the data set does not have.
    """
    data = split_of(dataset, source, split)
    if skip < 1 or (limit is not None and limit < 1):
        raise ValueError(
            f"expected skip and max of at least 1, got skip={skip} and max={limit}; leave them out "
            "for all images"
        )
    if only is None:
        return data.subset(list(range(0, len(data), skip))[:limit])
    if skip != 1 or limit is not None:
        raise ValueError(
            "expected either a list of images or skip and max, got both; leave one out"
        )
    place = {int(index): position for position, index in enumerate(data.index.tolist())}
    missing = [index for index in only if index not in place]
    if missing:
        raise ValueError(
            f"expected images of the {data.split} split of {data.name}, got {missing}, which it "
            "lacks; name others"
        )
    if not only or len(set(only)) < len(only):
        raise ValueError(
            f"expected at least one image and each once, got {list(only)}; name each once"
        )
    return data.subset([place[index] for index in only])


def split_of(dataset: Spec | None, source: Path | None, split: str) -> ImageData | FolderData:
    """One split of a data set, or of the one that the run folder ``source`` was trained on.

        split_of(None, Path("runs/a"), "test")

    An error about the latter names the file that names it: a path there may be relative to another
    folder.
    """
    if dataset is not None:
        return load_split(dataset, split)
    spec = trained_on(source)
    try:
        return load_split(spec, split)
    except (ValueError, LookupError, OSError) as error:
        assert source is not None
        said = in_one_line(error)
        raise ValueError(f"{said}, in {source / CONFIG} (--dataset takes another)") from error


def load_splits(dataset: Spec) -> DataSplits:
    """The data set of a spec.

        load_splits({"name": "npz", "path": "$RSMOOTH_CIFAR10"})

    $NAME in an option is the environment variable NAME. So a configuration need not hold the path.
    ValueError for a variable that is not set. Errors show the name of a variable, not its value: a
    configuration of somebody else may name any.
    """
    from rsmooth.data.splits import check_splits

    return check_splits(split_spec(dataset, DATASETS.kind)[0], create_here(DATASETS, dataset))


def load_split(dataset: Spec, split: str) -> ImageData | FolderData:
    """One split of a data set; ValueError where it is empty or unknown.

    load_split("digits", "test")
    """
    if split not in ("train", "validation", "test"):
        raise ValueError(f"expected split train, validation or test, got {split!r}; choose one")
    data: ImageData | FolderData | None = getattr(load_splits(dataset), split)
    if data is None or len(data) == 0:
        raise ValueError(
            f"expected a {split} split, got a data set {dataset!r} without one; choose another"
        )
    return data


@contextmanager
def as_option(option: str) -> Iterator[None]:
    """A context whose errors about a data set name ``option`` in place of ``--dataset``.

    with as_option("unlabelled"):
        images = load_split(unlabelled, "train")
    """
    try:
        yield
    except (ValueError, OSError) as error:
        said = in_one_line(error)
        if "--dataset" not in said:
            raise
        raise ValueError(re.sub(r"--dataset\b", f"--{option}", said)) from error


def image_shape(data: ImageData | FolderData) -> tuple[int, ...]:
    """(C, H, W) of the images of a split that is not empty."""
    return tuple(data.batch([0])[0].shape[1:])


def trained_on(source: Path | None) -> Spec:
    """The data set that a run folder was trained on; ValueError where it is not recorded."""
    if source is not None and not source.exists() and not is_shipped(str(source)):
        raise ValueError(
            f"expected a run folder or a model, got no such file: {source}; check the name"
        )
    if source is None or not (source / CONFIG).exists():
        why = "nor a run folder" if source is None else f"and {source} is no run folder"
        runs = (
            []
            if source is None
            else sorted(each.parent.name for each in source.glob(f"*/{CONFIG}"))
        )
        what = (
            f"name one of the runs in it: {', '.join(runs[:5])}"
            if runs
            else ("name a run folder, or " if source is None else "") + "add e.g. --dataset digits"
        )
        raise ValueError(f"expected a data set, got none, {why} that would name one; {what}")
    dataset: Spec | None = read_config(source).get("dataset")
    if dataset is None:
        raise ValueError(
            f"expected the key dataset in {source / CONFIG}, got none; add e.g. --dataset digits"
        )
    return dataset
