"""ImageNet and Tiny-ImageNet, whose folders are named after WordNet's nouns (n01443537, ...)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from rsmooth.data.class_folders import folder, is_hidden
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import DATASETS

IMAGENET_CLASSES = 1000
_SUFFIXES = {".jpeg", ".jpg", ".png"}
_SIZE = 64  # of Tiny-ImageNet's images


@DATASETS.register("imagenet")
def imagenet(
    root: str | os.PathLike[str], image_size: int = 224, validation: float = 0, seed: int = 0
) -> DataSplits:
    """ImageNet (ILSVRC 2012): root/train/n.../ and root/val/n.../ of 1,000 classes.

        splits = load_dataset("imagenet", root="imagenet")

    The options are those of ``folder``, which reads it, and which also reads a part of its classes.
    Published results are on ``val``, which is the test split here. ValueError for another number of
    classes: labels would not be ImageNet's.

    Russakovsky et al. 2015 (arXiv:1409.0575).
    """
    splits = folder(root, image_size, validation=validation, seed=seed)
    if splits.num_classes != IMAGENET_CLASSES:
        raise ValueError(
            f"expected the {IMAGENET_CLASSES} classes of ImageNet in {root}, got "
            f"{splits.num_classes}; use the data set 'folder' for a part of them"
        )
    return replace(
        splits,
        train=_named(splits.train),
        validation=_named(splits.validation),
        test=_named(splits.test),
    )


def _named(split: ImageData | FolderData | None) -> ImageData | FolderData | None:
    return None if split is None else replace(split, name="imagenet")


@DATASETS.register("tiny-imagenet")
def tiny_imagenet(root: str | os.PathLike[str], validation: float = 0, seed: int = 0) -> DataSplits:
    """Tiny-ImageNet: 200 classes of 64x64 colour images, read from their files when asked for.

        splits = load_dataset("tiny-imagenet", root="tiny-imagenet-200")

    root: the folder with wnids.txt or train, and val. Training images lie in train/WNID/images,
        those of val in val/images, with labels in val_annotations.txt; or both in SPLIT/WNID.
    validation: a count or fraction of the training images, chosen by seed.

    ``val`` is the test split, since the published test images have no labels. Classes are the
    WNIDs in alphabetical order, as in a folder of classes. index is the order of
    val_annotations.txt, or that of the paths. Images are taken whole; training pads, crops and
    flips them. Le and Yang 2015, "Tiny ImageNet visual recognition challenge".

    FileNotFoundError where neither split is there, ValueError for a file that is not as it should.
    """
    root = user_path(root)
    classes = _classes(root)
    train = _data(root, _in_folders(root, "train", classes), classes, "train")
    test = _data(root, _of_val(root, classes), classes, "test")
    if train is None and test is None:
        raise FileNotFoundError(
            f"expected Tiny-ImageNet's train/n.../images or val/images in {root}, got neither; "
            "unpack tiny-imagenet-200.zip there"
        )
    held_out = None
    if train is not None:
        train, held_out = carve_validation(train, validation, seed)
    return DataSplits(
        train,
        held_out,
        test,
        len(classes),
        (3, _SIZE, _SIZE),
        augment=False,  # FolderData crops and flips by itself
        normalize="tiny-imagenet",
        class_names=_words(root, classes),
    )


def _classes(root: Path) -> list[str]:
    """The WNIDs in alphabetical order, as wnids.txt says, or the folders of train or val."""
    listed = root / "wnids.txt"
    if listed.is_file():
        return sorted(set(listed.read_text(encoding="utf-8").split()))
    for split in ("train", "val"):
        there = [path.name for path in sorted((root / split).glob("n*")) if path.is_dir()]
        if there:
            return there
    raise FileNotFoundError(
        f"expected wnids.txt, or train with a folder for each class, in {root}, got neither; "
        "unpack tiny-imagenet-200.zip, and name the folder tiny-imagenet-200"
    )


def _in_folders(root: Path, split: str, classes: list[str]) -> list[tuple[str, int]]:
    """Paths below root and labels of root/SPLIT/WNID/images, or of root/SPLIT/WNID."""
    found = []
    for label, name in enumerate(classes):
        inside = root / split / name
        inner = inside / "images" if (inside / "images").is_dir() else inside
        visible = (each for each in inner.glob("*") if not is_hidden(each, inner))
        paths = sorted(each for each in visible if each.suffix.lower() in _SUFFIXES)
        found += [(path.relative_to(root).as_posix(), label) for path in paths]
    strange = {path.name for path in (root / split).glob("n*") if path.is_dir()} - set(classes)
    if strange:
        raise ValueError(
            f"expected folders of the classes of wnids.txt in {root / split}, got "
            f"{', '.join(sorted(strange)[:3])} too; move them away"
        )
    return found


def _of_val(root: Path, classes: list[str]) -> list[tuple[str, int]]:
    """Paths and labels as val_annotations.txt lists them, or those of folders."""
    annotations = root / "val" / "val_annotations.txt"
    if not annotations.is_file():
        return _in_folders(root, "val", classes)
    number = {name: label for label, name in enumerate(classes)}
    found = []
    for at, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid not in number:
            raise ValueError(
                f"expected FILE and one of the classes of wnids.txt in line {at} of {annotations}, "
                f"got {line!r}; unpack tiny-imagenet-200.zip again"
            )
        found.append((f"val/images/{name}", number[wnid]))
    return found


def _data(
    root: Path, files: list[tuple[str, int]], classes: list[str], split: str
) -> FolderData | None:
    if not files:
        return None
    return FolderData(
        root,
        tuple(path for path, _ in files),
        torch.tensor([label for _, label in files], device="cpu"),
        torch.arange(len(files), device="cpu"),
        len(classes),
        "tiny-imagenet",
        split,
        _SIZE,
        whole=True,
    )


def _words(root: Path, classes: list[str]) -> tuple[str, ...]:
    """The first word that words.txt has for each class; the WNID where there is none."""
    listed = root / "words.txt"
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return tuple(words.get(name, name).split(",")[0] for name in classes)
