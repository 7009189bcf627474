"""Denoised smoothing: a denoiser before a classifier that nobody retrains."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from torch import Tensor, nn

from rsmooth.models.nested import build_part, rebuilding
from rsmooth.registry import DENOISERS, MODELS


@MODELS.register("denoised")
def denoised(
    denoiser: str | Mapping[str, Any],
    classifier: str | PathLike[str] | Mapping[str, Any],
    num_classes: int | None = None,
    in_channels: int | None = None,
) -> Denoised:
    """A denoiser before a classifier, as one model (Salman et al. 2020).

        base = MODELS.create("denoised", denoiser="dncnn", classifier="runs/clean")
        base = MODELS.create("denoised", denoiser={"name": "ffdnet", "sigma": 0.25}, classifier=net)
        published = {"checkpoint": "net.th", "arch": "cifar-resnet", "normalize": "imagenet"}
        base = MODELS.create("denoised", denoiser="dncnn", classifier=published)

    denoiser: a name of DENOISERS, a mapping of name and options, or a module of it.
    classifier: a run folder or file of a trained classifier, a module from MODELS.create, a
        registered name, a mapping of name and options, or one of a checkpoint that others
        published and the options of ``load_checkpoint``.
    num_classes, in_channels: of parts that are built anew.

    arXiv:2003.01908, section 2. Both work on images in [0, 1]; the classifier brings its own
    normalisation.
    """
    front, _ = build_part(denoiser, DENOISERS, in_channels=in_channels)
    back, _ = build_part(
        _of_classes(classifier, num_classes), num_classes=num_classes, in_channels=in_channels
    )
    model = Denoised(front, back)
    parts = {"denoiser": front, "classifier": back}
    model.origin = getattr(back, "origin", None)
    model.plain_options = rebuilding(parts, num_classes=num_classes, in_channels=in_channels)
    return model


def _of_classes(part: Any, num_classes: int | None) -> Any:
    """An architecture, which may come with another head, for num_classes."""
    noted = part.get("options") if isinstance(part, Mapping) else None
    if num_classes is None or not isinstance(noted, Mapping):
        return part
    return {**part, "options": {**noted, "num_classes": num_classes}}


class Denoised(nn.Module):
    """classifier(denoiser(x)): images (N, C, H, W) in [0, 1], noisy -> logits (N, K).

    Denoised(DnCNN(), classifier)
    """

    plain_options: dict[str, Any] | None
    origin: dict[str, str] | None = None

    def __init__(self, denoiser: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.denoiser, self.classifier = denoiser, classifier

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.denoiser(x))
        return logits
