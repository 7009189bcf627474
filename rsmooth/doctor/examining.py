"""What somebody's file is: every kind of file to the part that knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from rsmooth.data.convert import Convertible, as_data
from rsmooth.doctor.asked import Asked
from rsmooth.doctor.findings import Report
from rsmooth.doctor.kinds import kind_of
from rsmooth.doctor.module import examine_module
from rsmooth.plumbing.paths import user_path
from rsmooth.smoothed import SmoothedClassifier

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData


def examine(
    path: str | Path,
    images: ImageData | FolderData | Convertible | None = None,
    *,
    options: str = "",
    entry: str | None = None,
    out: Path | None = None,
    sigma: float | None = None,
    unit: str | None = None,
) -> Report:
    """What a file or run folder is, what is suspicious about it, and what to run next.

        report = examine("checkpoint.pth.tar", load_dataset("npz", path="cifar10.npz").test)
        print(report.text())
        report.facts["architecture"]

    images: a split of the data set of a network, or data of any kind that ``fit`` takes, to try
        out normalisations and noise. Where the embedded digits fit and nothing is given, those.
    options: how a command names these images, such as "--dataset digits".
    entry: the network that is meant, where a file holds several. out: where to write it as a plain
        checkpoint.
    sigma: of the noise behind a log, where neither the log nor its path says it.
    unit: what the radii of a log are measured in, where it does not say.

    Nothing in the file is run. ValueError, in one line, for a file of another kind, an empty one
    and one that was cut off. OSError where it cannot be opened.
    """
    path, out = user_path(path), None if out is None else user_path(out)
    asked = Asked(None if images is None else as_data(images), options, entry, out, sigma, unit)
    return kind_of(path)(path, asked)


def examine_model(
    base: nn.Module,
    images: ImageData | FolderData | Convertible,
    *,
    num_classes: int | None = None,
) -> Report:
    """What is suspicious about a module: images (N, C, H, W) in [0, 1] -> logits (N, K).

        print(examine_model(my_classifier, load_dataset("digits").test).text())

    base: with its own normalisation, as for ``SmoothedClassifier``, or such a classifier, whose
        base is then examined.
    images: a data set of any kind that ``fit`` takes, such as (images, labels).
    num_classes: K, if not that of the images.

    It is tried as it is and with each usual normalisation before it, under noise. TypeError for
    anything but a module.
    """
    if isinstance(base, SmoothedClassifier):
        num_classes = num_classes or int(base.num_classes)
        base = base.base
    if not isinstance(base, nn.Module):
        raise TypeError(
            f"expected a module to examine, got {type(base).__name__}; a file is examined by "
            "rsmooth.doctor.examine"
        )
    return examine_module(base, as_data(images), num_classes)
