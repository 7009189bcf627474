"""What somebody's file is: every kind of file to the part that knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.doctor.asked import Asked
from rsmooth.doctor.findings import Report
from rsmooth.doctor.kinds import kind_of
from rsmooth.doctor.module import examine_module
from rsmooth.plumbing.paths import user_path

if TYPE_CHECKING:
    from torch import nn

    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData


def examine(
    path: str | Path,
    images: ImageData | FolderData | None = None,
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

    images: a split of the data set of a network, to try out normalisations and noise. Where the
        embedded digits fit and nothing is given, those.
    options: how a command names these images, such as "--dataset digits".
    entry: the network that is meant, where a file holds several. out: where to write it as a plain
        checkpoint.
    sigma: of the noise behind a log, where neither the log nor its path says it.
    unit: what the radii of a log are measured in, where it does not say.

    Nothing in the file is run. ValueError, in one line, for a file of another kind, an empty one
    and one that was cut off. OSError where it cannot be opened.
    """
    path = user_path(path)
    asked = Asked(images, options, entry, None if out is None else user_path(out), sigma, unit)
    return kind_of(path)(path, asked)


def examine_model(
    base: nn.Module, images: ImageData | FolderData, *, num_classes: int | None = None
) -> Report:
    """What is suspicious about a module: images (N, C, H, W) in [0, 1] -> logits (N, K).

        print(examine_model(my_classifier, load_dataset("digits").test).text())

    base: with its own normalisation, as for ``SmoothedClassifier``. num_classes: K, if not that of
        the images.

    It is tried as it is and with each usual normalisation before it, under noise.
    """
    return examine_module(base, images, num_classes)
