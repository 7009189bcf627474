"""The model that a verb works on: from a run folder, a model file or a published checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.config.environment import create_here
from rsmooth.config.folder import model_path
from rsmooth.config.parts import build_noise, check_untrained
from rsmooth.config.specs import Spec
from rsmooth.plumbing.files import is_stream
from rsmooth.plumbing.parallel import pick_device
from rsmooth.registry import MODELS

if TYPE_CHECKING:
    from torch import nn

    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
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
            "expected either a run folder (or model file) or --checkpoint or --model, got none; "
            "name one of them"
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
    base: Any = load_checkpoint(checkpoint, normalize=constants_of(normalize), arch=arch)
    told = base.architecture["options"].get("num_classes")
    classes = _classes(base, shape) if told is None else told
    g = SmoothedClassifier(base, noise=drawn, num_classes=classes).to(target).eval()
    check_fits(g, shape)
    return g


def load_built(
    model: Spec, sigma: float | None, noise: Spec | None, device: str, shape: tuple[int, ...]
) -> SmoothedClassifier:
    """A registered model that brings its weights, smoothed; images have the shape (C, H, W).

    What it draws at random, where it has no weights, is the same at every start.
    """
    import torch

    from rsmooth.smoothed import SmoothedClassifier

    check_untrained(model)
    target, drawn = pick_device(device), build_noise(sigma, noise)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = create_here(MODELS, model).eval()
    g = SmoothedClassifier(base, noise=drawn, num_classes=_classes(base, shape)).to(target).eval()
    check_fits(g, shape)
    return g


def _classes(base: nn.Module, shape: tuple[int, ...]) -> int:
    """The number of logits; where the model refuses such images, 2, and ``check_fits`` says so."""
    import torch

    try:
        with torch.no_grad():
            logits = base(torch.zeros(1, *shape))
    except RuntimeError:
        return 2
    return int(logits.shape[-1])


def check_classes(g: SmoothedClassifier, data: ImageData | FolderData) -> None:
    """Raise ValueError for folders that are not numbered as the classes of g.

    Of folders without a class file the first one is class 0, whatever its class is to the model.
    """
    numbered = getattr(data, "numbered_by_place", False)
    if numbered and data.num_classes != g.num_classes:
        raise ValueError(
            f"expected images of the {g.num_classes} classes of the model, got {data.num_classes} "
            f"folders in {data.name}, numbered from 0 as they come; add --dataset.classes FILE, "
            "which lists the folders of all classes in the order of the model"
        )


def check_fits(g: SmoothedClassifier, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the base classifier of g takes images of this shape (C, H, W).

    It must also give as many logits as g has classes.
    """
    import torch

    from rsmooth.models.state import device_of

    training, device = g.training, device_of(g)
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
    if path is not None and (obstacle := _obstacle(path)):
        raise ValueError(
            f"expected a file in a folder that can be written to, got {path}, {obstacle}"
        )
    return path


def _obstacle(path: Path) -> str:
    """Why ``replace_file`` could not write this file, and what to do; empty where it could."""
    if path.is_dir():
        return "which is a folder; name a file"
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        return "whose folder is not there; make the folder first"
    # A file is replaced by another one, which takes a folder that new files may be put into.
    needed = [real] if is_stream(real) else [real.parent, *([real] if real.exists() else [])]
    if not all(os.access(each, os.W_OK) for each in needed):
        return "which may not be written; change the permissions, or name another file"
    return ""
