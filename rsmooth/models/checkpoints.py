"""Files of weights: atomic writing, strict loading, and checkpoints that others published."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.plumbing.files import replace_file
from rsmooth.registry import MODELS

PUBLISHED_ARCHITECTURES = {
    "cifar_resnet20": "resnet20",
    "cifar_resnet110": "resnet110",
    "imagenet32_resnet110": "resnet110",
    "resnet50": "resnet50",
}


def atomic_save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write ``obj`` with torch.save, whole or not at all.

        atomic_save({"weights": net.state_dict()}, "weights.pt")

    Whatever happens, ``path`` holds the old file or the new one. OSError that names ``path`` where
    the disk refuses.
    """
    # In memory first: on a file, torch answers a full disk with an error that does not say so.
    content = io.BytesIO()
    torch.save(obj, content)
    replace_file(path, content.getbuffer())


def safe_load(path: str | os.PathLike[str]) -> Any:
    """What torch.save wrote to a file, on the CPU, read without running code from it.

        content = safe_load("checkpoint.pth.tar")

    ValueError, with the likely reason, for a file that is damaged or of another kind, or that holds
    more than tensors and plain values. OSError as usual for one that is absent or must not be read.
    A changed bit is found by the checksums in files since torch 1.6; older ones have none.
    """
    # What cannot be opened is no damage.
    with open(path, "rb"):
        pass
    try:
        _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes of another kind the unpickler fails in a dozen ways
        raise ValueError(
            f"expected a checkpoint of plain tensors and values, got {path}, which "
            f"{_nature(Path(path))}; download it again, or convert it with the code that wrote it"
        ) from error


def _check_sums(path: str | os.PathLike[str]) -> None:
    """zipfile.BadZipFile for an archive whose parts do not fit their CRC-32.

    torch.load does not look at it.
    """
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return
        try:
            broken = zipfile.ZipFile(file).testzip()
        except OSError as error:  # a damaged directory may point outside of the file
            raise zipfile.BadZipFile(str(error)) from None
    if broken is not None:
        raise zipfile.BadZipFile(f"expected {broken} to fit its checksum, got other bytes")


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict that must fit exactly: every key, every shape, finite values.

        load_weights(net, safe_load("weights.pt"), source="weights.pt")

    source: where the weights come from, for the error. ValueError if they do not fit; then nothing
    is loaded.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - state_dict.keys())
    unexpected = sorted(map(str, state_dict.keys() - own.keys()))
    common = [name for name in own if name in state_dict]
    strange = [name for name in common if not isinstance(state_dict[name], Tensor)]
    tensors = {name: state_dict[name] for name in common if name not in strange}
    shapes = [
        f"{name}: expected {tuple(own[name].shape)}, got {tuple(tensor.shape)}"
        for name, tensor in tensors.items()
        if tensor.shape != own[name].shape
    ]
    infinite = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    found = {
        "missing": missing,
        "unexpected": unexpected,
        "not a tensor": strange,
        "wrong shape": shapes,
        "NaN or infinite": infinite,
    }
    problems = [f"{word} {_some(names)}" for word, names in found.items() if names]
    if problems:
        raise ValueError(
            f"expected weights that fit {type(module).__name__} exactly, got from {source}: "
            f"{'; '.join(problems)}; check architecture, num_classes and normalize"
        )
    module.load_state_dict(dict(state_dict))


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    normalize: Normalization = "unknown",
    arch: str | None = None,
    num_classes: int | None = None,
) -> Classifier:
    """A model in eval mode from a published checkpoint.

        base = load_checkpoint("checkpoint.pth.tar", normalize="cifar10", arch="resnet20")

    normalize: a name of NORMALIZATIONS, (mean, std), (mean,) or None. It has to be given, since the
        file does not hold it.
    arch: a published or registered name, where the file names none or another.
    num_classes: checked against the file.

    Such a file is a dict of epoch, arch, state_dict and optimizer. Cohen et al. 2019
    (arXiv:1902.02918) and Salman et al. 2019 (arXiv:1906.04584) publish them, and so do most
    methods after them. ValueError for a file of another kind, an unknown arch, and weights that do
    not fit.
    """
    if normalize == "unknown":
        raise ValueError(
            "expected normalize, got none; the file does not hold the constants, so give "
            'normalize="cifar10" (mean and std: models of Cohen et al., fine-tuned and '
            'self-trained ones), "cifar10-center" (mean only: SmoothAdv models trained from '
            'scratch), "imagenet" or "imagenet-center" likewise, (mean, std) of your own, or None. '
            "Wrong constants give no error but a poor accuracy: try them on some test images"
        )
    content = _read_published(Path(path))
    weights = {_net_key(str(name)): tensor for name, tensor in content["state_dict"].items()}
    name = _registered_name(arch or content.get("arch"), path)
    classes = _count_classes(weights, path)
    if num_classes not in (None, classes):
        raise ValueError(
            f"expected a model of {num_classes} classes, got {classes} in {path}; leave "
            "num_classes out, or exchange the last layer with rsmooth.models.replace_head"
        )
    model = MODELS.create(name, num_classes=classes, normalize=normalize)
    if not isinstance(model, Classifier):
        raise ValueError(
            f"expected arch to name a rsmooth.models.Classifier, got {name!r}, a "
            f"{type(model).__name__}"
        )
    load_weights(model[1], weights, source=str(path))
    return model.eval()


def _read_published(path: Path) -> dict[str, Any]:
    """The published dict in a file."""
    content = safe_load(path)
    if isinstance(content, dict) and "format" in content:
        raise ValueError(
            f"expected a published checkpoint, got {path} in the format {content['format']!r}; "
            "open it with SmoothedClassifier.load"
        )
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        found = (
            sorted(map(str, content))[:8] if isinstance(content, dict) else type(content).__name__
        )
        raise ValueError(f"expected a dict of arch and state_dict in {path}, got {found}")
    return content


def _nature(path: Path) -> str:
    """What a file that torch.load refused looks like."""
    with open(path, "rb") as file:
        start = file.read(64).lstrip().lower()
    if not start:
        return "is empty"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not the download behind it"
    return "is damaged, or needs code that weights_only=True does not run"


def _net_key(name: str) -> str:
    """A published key without the prefixes of Sequential (``1.``) and DataParallel."""
    while name.startswith(("1.", "module.")):
        name = name.split(".", 1)[1]
    return name


def _registered_name(arch: object, path: str | os.PathLike[str]) -> str:
    name = PUBLISHED_ARCHITECTURES.get(str(arch), str(arch))
    if name not in MODELS:
        raise ValueError(
            f"expected arch to be one of {', '.join(PUBLISHED_ARCHITECTURES)} or a registered "
            f"model, got {arch!r} for {path}; give arch="
        )
    return name


def _count_classes(weights: dict[str, Tensor], path: str | os.PathLike[str]) -> int:
    head = weights.get("fc.weight")
    if not isinstance(head, Tensor) or head.ndim != 2:
        raise ValueError(
            f"expected the last layer's weights under fc.weight in {path}, got keys "
            f"{_some(list(weights))}"
        )
    return int(head.shape[0])


def _some(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
