"""Data sets in folders of image files, a sub-folder for each class: ImageNet's layout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rsmooth.data.files import FolderData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.errors import remedy
from rsmooth.registry import DATASETS

if TYPE_CHECKING:
    from torchvision.datasets import ImageFolder


@DATASETS.register("folder")
def folder(
    root: str | os.PathLike[str],
    image_size: int = 224,
    train: str = "train",
    test: str = "val",
    validation: float = 0,
    seed: int = 0,
) -> DataSplits:
    """Image files in root/SPLIT/CLASS/, such as ImageNet's.

        splits = load_dataset("folder", root="imagenet", image_size=224)

    root: the folder that holds the splits.
    image_size: height and width after cropping, in pixels.
    train, test: names of the splits' folders; one that is absent makes that split None. ImageNet's
        published results are on its ``val`` folder.
    validation: a count or fraction of the training images, chosen by seed.

    Classes and files are in alphabetical order, which is ImageNet's published one.
    FileNotFoundError if neither folder is there, ValueError if they hold different classes.
    """
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision.datasets import ImageFolder

    class Visible(ImageFolder):  # type: ignore[misc]
        """Hidden folders, such as those of notebooks, are no classes."""

        def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
            classes = _visible(Path(directory))
            if not classes:
                raise FileNotFoundError(
                    f"expected a sub-folder for each class in {directory}, got none"
                )
            return classes, {name: number for number, name in enumerate(classes)}

    root = Path(root)
    sources = {
        split: _listed(Visible, root / name)
        for split, name in (("train", train), ("test", test))
        if (root / name).is_dir()
    }
    if not sources:
        raise FileNotFoundError(_no_split(root, train, test))
    if len({tuple(source.classes) for source in sources.values()}) != 1:
        raise ValueError(
            f"expected the same classes in {train} and {test} of {root}, got "
            f"{' and '.join(str(len(source.classes)) for source in sources.values())}; give "
            "their sub-folders the same names"
        )
    splits = {split: _split(root, source, split, image_size) for split, source in sources.items()}
    kept, held_out = splits.get("train"), None
    if kept is not None:
        kept, held_out = carve_validation(kept, validation, seed)
    classes = tuple(next(iter(sources.values())).classes)
    return DataSplits(
        kept,
        held_out,
        splits.get("test"),
        len(classes),
        (3, image_size, image_size),
        augment=False,
        normalize="imagenet",
        class_names=classes,
    )


def _visible(folder: Path) -> list[str]:
    """The names of the folders in a folder, in order, without hidden ones."""
    return sorted(each.name for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")


def _listed(kind: type[ImageFolder], folder: Path) -> ImageFolder:
    try:
        return kind(folder)
    except FileNotFoundError as error:  # torchvision names the classes, and no path
        if str(folder) in str(error):
            raise
        raise FileNotFoundError(
            f"expected images in each sub-folder of {folder}, got none in some ({error}); delete "
            "the empty sub-folders, or convert their files"
        ) from None


def _no_split(root: Path, train: str, test: str) -> str:
    if not root.is_dir():
        return f"expected a folder of images, got {root}, which is not there; check root"
    there = ", ".join(_visible(root)[:5])
    options = remedy(
        "name them as train=FOLDER or test=FOLDER",
        "name them as --dataset.train FOLDER or --dataset.test FOLDER",
    )
    return (
        f"expected a folder {train} or {test} with a sub-folder for each class in {root}, got "
        f"{'the folders ' + there if there else 'no folder'}; {options}"
    )


def _split(root: Path, source: ImageFolder, split: str, image_size: int) -> FolderData:
    paths = tuple(str(Path(path).relative_to(root)) for path, _ in source.samples)
    labels = torch.tensor([label for _, label in source.samples])
    return FolderData(
        root,
        paths,
        labels,
        torch.arange(len(paths)),
        len(source.classes),
        root.name,
        split,
        image_size,
    )
