"""The model that a verb works on: from a run folder, a model file or a published checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.config.folder import model_path
from rsmooth.config.parts import build_noise
from rsmooth.config.specs import Spec
from rsmooth.plumbing.parallel import pick_device

if TYPE_CHECKING:
    from rsmooth.smoothed import SmoothedClassifier


def load_own(
    source: Path | None, weights: str, device: str, shape: tuple[int, ...]
) -> SmoothedClassifier:
    """The model of a run folder or model file of ours, on its device.

    ValueError where there is none, or one that does not take images of this shape (C, H, W).
    """
    from rsmooth.models.onnx_files import SUFFIX, load_onnx
    from rsmooth.smoothed import SmoothedClassifier

    if source is None:
        raise ValueError(
            "expected either a run folder (or model file) or --checkpoint, got neither; name one "
            "of them"
        )
    target = pick_device(device)
    path = model_path(source, weights)
    if path.suffix == SUFFIX:
        g = load_onnx(path)
    else:
        g = SmoothedClassifier.load(path, map_location=target)
    check_fits(g, shape)
    return g


def load_published(
    checkpoint: Path,
    normalize: str,
    sigma: float | None,
    noise: Spec | None,
    device: str,
    shape: tuple[int, ...],
    arch: str | None = None,
) -> SmoothedClassifier:
    """A published checkpoint, smoothed with Gaussian noise of ``sigma`` or with ``noise``."""
    from rsmooth.models.foreign import load_checkpoint
    from rsmooth.models.normalize import constants_of
    from rsmooth.smoothed import SmoothedClassifier

    target, drawn = pick_device(device), build_noise(sigma, noise)
    base = load_checkpoint(checkpoint, normalize=constants_of(normalize), arch=arch)
    assert base.architecture is not None
    classes = base.architecture["options"]["num_classes"]
    g = SmoothedClassifier(base, noise=drawn, num_classes=classes).to(target).eval()
    check_fits(g, shape)
    return g


def check_fits(g: SmoothedClassifier, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the base classifier of g takes images of this shape (C, H, W).

    It must also give as many logits as g has classes.
    """
    import torch

    training, parameter = g.training, next(g.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    try:
        with torch.no_grad():
            g.eval().log_probs(torch.zeros(1, 1, *shape, device=device))
    except RuntimeError as error:
        raise ValueError(
            f"expected a model for images {tuple(shape)} (C, H, W), got one that refuses them "
            f"({error}); choose another model or other images"
        ) from None
    finally:
        g.train(training)


def output_file(path: Path | None) -> Path | None:
    """A file to write at the end of long work; ValueError if that will not be possible."""
    if path is not None and (
        path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)
    ):
        raise ValueError(
            f"expected a file in a folder that can be written to, got {path}; make the folder first"
        )
    return path
