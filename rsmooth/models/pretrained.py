"""Trained models by name: no training, no download."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from rsmooth.models.shipped import shipped_file, shipped_names
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier


def load_model(
    name: str | os.PathLike[str], *, map_location: str | torch.device = "cpu"
) -> SmoothedClassifier:
    """A trained smoothed classifier that comes with the package, in eval mode.

        g = load_model("cifar10-sigma-0.25")

    name: see ``rsmooth list models``; ``model_card`` has what is known about it, such as the
        certificates of just these weights. Also a file or a folder that
        ``SmoothedClassifier.save`` wrote.
    map_location: the device of the classifier.

    ValueError for an unknown name, FileNotFoundError for a path where nothing is, RecordError for a
    file that is damaged.
    """
    if name not in shipped_names() and user_path(name).exists():
        return SmoothedClassifier.load(name, map_location=map_location)
    if _is_path(name):
        raise FileNotFoundError(
            "expected a file or a folder that SmoothedClassifier.save wrote, got "
            f"{os.fspath(name)}, where nothing is (in the folder {Path.cwd()}); check the path"
        )
    name = os.fspath(name)
    if name in MODELS and name not in shipped_names():
        raise ValueError(
            f"expected the name of a trained model ({', '.join(shipped_names()) or 'none'}), got "
            f"the architecture {name!r}; build it untrained with MODELS.create({name!r})"
        )
    return SmoothedClassifier.load(shipped_file(name), map_location=map_location)


def _is_path(name: str | os.PathLike[str]) -> bool:
    """Whether a name can only be meant as a path: by its kind, its folders or its ending."""
    text = os.fspath(name)
    ending = Path(text).suffix.removeprefix(".")
    return name is not text or any(mark in text for mark in ("/", os.sep)) or ending.isalpha()
