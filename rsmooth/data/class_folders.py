"""Data sets in folders of image files, a sub-folder for each class: ImageNet's layout."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rsmooth.data.class_list import read_classes
from rsmooth.data.files import FolderData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.errors import remedy
from rsmooth.plumbing.paths import user_path
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
    classes: str | os.PathLike[str] | None = None,
    resize: int | None = None,
) -> DataSplits:
    """Image files in root/SPLIT/CLASS/, such as ImageNet's.

        splits = load_dataset("folder", root="imagenet", image_size=224)
        splits = load_dataset("folder", root="sample", classes="sample/classes.tsv")

    root: the folder that holds the splits.
    image_size: height and width after cropping, in pixels.
    train, test: names of the splits' folders; one that is absent makes that split None. ImageNet's
        published results are on its ``val`` folder.
    validation: a count or fraction of the training images, chosen by seed.
    classes: a file that says which folder is which class, as ``read_classes`` reads it. A model of
        others needs it wherever folders of some classes are absent.
    resize: the shorter side before the central part is cropped; by default 256 / 224 of image_size.
        Images that have their size already stay as they are with resize = image_size.

    Without ``classes``, folders are numbered from 0 in alphabetical order, which is ImageNet's
    published one where all 1,000 are there. Files are in alphabetical order; hidden ones are left
    out. FileNotFoundError if neither folder is there. ValueError if they hold different classes and
    no file numbers them, and for a folder that the file does not list.
    """
    listed = None if classes is None else read_classes(classes)
    root = user_path(root)
    sources = _sources(root, {"train": train, "test": test}, listed, classes)
    if not sources:
        raise FileNotFoundError(_no_split(root, train, test))
    if listed is None:
        names = _names_of_all(list(sources.values()), f"{train} and {test} of {root}")
    else:
        names = tuple(sorted(listed, key=listed.__getitem__))
    splits = {
        split: replace(
            _split(root, source, split, image_size, len(names)),
            resize=resize,
            numbered_by_place=listed is None,
        )
        for split, source in sources.items()
    }
    kept, held_out = splits.get("train"), None
    if kept is not None:
        kept, held_out = carve_validation(kept, validation, seed)
    return DataSplits(
        kept,
        held_out,
        splits.get("test"),
        len(names),
        (3, image_size, image_size),
        augment=False,
        normalize="imagenet",
        class_names=names,
    )


def _sources(
    root: Path, names: Mapping[str, str], listed: Mapping[str, int] | None, classes: object
) -> dict[str, ImageFolder]:
    """The splits whose folders are there; names: of these folders; listed: what classes says."""
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision.datasets import ImageFolder

    class Visible(ImageFolder):  # type: ignore[misc]
        """Hidden folders, such as those of notebooks, are no classes."""

        def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
            found = _visible(Path(directory))
            if not found:
                raise FileNotFoundError(
                    f"expected a sub-folder for each class in {directory}, got none"
                )
            if listed is None:
                return found, {name: number for number, name in enumerate(found)}
            return found, _numbered(found, listed, Path(directory), classes)

    return {
        split: _listed(Visible, root / name)
        for split, name in names.items()
        if (root / name).is_dir()
    }


def _visible(folder: Path) -> list[str]:
    """The names of the folders in a folder, in order, without hidden ones."""
    return sorted(each.name for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")


def _numbered(
    found: list[str], listed: Mapping[str, int], directory: Path, classes: object
) -> dict[str, int]:
    """The number of each folder; ValueError for one that the list lacks."""
    missing = [name for name in found if name not in listed]
    if missing:
        raise ValueError(
            f"expected the sub-folders of {directory} to be listed in {classes}, got "
            f"{', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}, which is not; add it, "
            "or name the list that these folders follow"
        )
    return {name: listed[name] for name in found}


def _names_of_all(sources: Sequence[ImageFolder], where: str) -> tuple[str, ...]:
    """The names of the classes in order; ValueError where the splits have others."""
    if len({tuple(source.classes) for source in sources}) != 1:
        raise ValueError(
            f"expected the same classes in {where}, got "
            f"{' and '.join(str(len(source.classes)) for source in sources)}; "
            + remedy("give classes=FILE", "give --dataset.classes FILE")
            + ", which numbers them, or their sub-folders the same names"
        )
    return tuple(sources[0].classes)


def is_hidden(file: Path, folder: Path) -> bool:
    """Whether a file of a folder is hidden, or in a hidden folder there.

        is_hidden(Path("val/n01/._0.JPEG"), Path("val"))      # True

    So are copies that notebooks keep, and the files that macOS puts beside images on other disks.
    """
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _listed(kind: type[ImageFolder], folder: Path) -> ImageFolder:
    from torchvision.datasets.folder import is_image_file

    def counts(path: str) -> bool:
        return is_image_file(path) and not is_hidden(Path(path), folder)

    try:
        return kind(folder, is_valid_file=counts)
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


def _split(
    root: Path, source: ImageFolder, split: str, image_size: int, classes: int
) -> FolderData:
    paths = tuple(str(Path(path).relative_to(root)) for path, _ in source.samples)
    labels = torch.tensor([label for _, label in source.samples], device="cpu")
    return FolderData(
        root,
        paths,
        labels,
        torch.arange(len(paths), device="cpu"),
        classes,
        root.name,
        split,
        image_size,
    )
