"""Checkpoints that others wrote, as models of ours."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rsmooth.models.checkpoints import load_weights, safe_load
from rsmooth.models.layouts import (
    agreed,
    constants_among,
    is_constant,
    read_layout,
    some,
    weights_of,
)
from rsmooth.models.natures import ZIPPED
from rsmooth.models.normalize import NORMALIZATIONS, Classifier, Normalization
from rsmooth.models.own_networks import (
    build,
    head_of,
    load_whole,
    normalizes_itself,
    sizes_of,
)
from rsmooth.models.recognise import options_of_shapes, translated
from rsmooth.plumbing.errors import remedy
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import MODELS

PUBLISHED_ARCHITECTURES = {
    "cifar_resnet20": "resnet20",
    "cifar_resnet110": "resnet110",
    "imagenet32_resnet110": "resnet110",
    "resnet50": "resnet50",
}


def load_checkpoint(
    path: str | os.PathLike[str],
    *,
    normalize: Normalization = "unknown",
    arch: str | None = None,
    num_classes: int | None = None,
) -> nn.Module:
    """A model in eval mode from a checkpoint that others wrote.

        base = load_checkpoint("checkpoint.pth.tar", normalize="cifar10", arch="resnet20")

    normalize: a name of NORMALIZATIONS, (mean, std), (mean,) or None. It has to be given where the
        file does not hold the constants. Where it does, both must agree. A registered network of
        your own without such an option normalises by itself, and is given none.
    arch: a published or registered name, where the file names none or another. Its options
        (classes, width, depth, image size) follow from the shapes of the weights.
    num_classes: checked against the file.

    Cohen et al. 2019 (arXiv:1902.02918) and Salman et al. 2019 (arXiv:1906.04584) publish a dict of
    epoch, arch, state_dict and optimizer, and so do most methods after them. The weights may also
    be the whole file, or under ``net`` or ``model``, and their names may have any prefix: that of
    DataParallel, torch.compile, Lightning, an averaged model, or a normalising layer before the
    network. ValueError for a file of another kind, an unknown arch, weights that do not fit, and
    constants that disagree. A warning for a file of torch before 1.6, which has no checksums; its
    SHA-256 is then in ``origin``, and in the records of its certificates.
    """
    path = user_path(path)
    source = str(path)
    layout = read_layout(_foreign(safe_load(path), source), source)
    name = _registered_name(arch or layout.arch, source)
    if normalizes_itself(name):
        whole: Any = load_whole(name, layout, normalize, source)
        _check_classes(num_classes, whole.architecture["options"].get("num_classes"), source)
        whole.origin = _origin(path)
        return whole.eval()  # type: ignore[no-any-return]
    named = translated(name, layout.weights)
    sizes = options_of_shapes(name, named)
    weights, rest = weights_of(named, _network(name, sizes or {}).state_dict(), source)
    found = constants_among(rest, source) or _named_constants(layout.constants)
    options: dict[str, Any] = {
        **(_telling(name, sizes) if sizes else _sizes(name, weights, source)),
        "normalize": agreed(normalize, found, source),
    }
    if options["normalize"] == "unknown":
        raise ValueError(_ask_normalize(source))
    _check_classes(num_classes, options["num_classes"], source)
    model: Classifier = MODELS.create(name, **options)
    beside = {key: tensor for key, tensor in rest.items() if not is_constant(key)}
    load_weights(model[1], {**weights, **beside}, source=source)
    model.origin = _origin(path)
    return model.eval()


def _check_classes(wanted: int | None, found: int | None, source: str) -> None:
    """ValueError where a file is known to be of another number of classes."""
    if None not in (wanted, found) and wanted != found:
        raise ValueError(
            f"expected a model of {wanted} classes, got {found} in {source}; "
            "leave num_classes out, or exchange the last layer with rsmooth.models.replace_head"
        )


def _ask_normalize(source: str) -> str:
    option, own = (
        remedy("normalize=", "--normalize "),
        remedy(", (mean, std) of your own,", ", MEANS:STDS of your own,"),
    )
    return (
        f"expected normalize, got none; {source} does not hold the constants, so give "
        f'{option}"cifar10" (mean and std: models of Cohen et al., fine-tuned and self-trained '
        'ones), "cifar10-center" (mean only: SmoothAdv models trained from scratch), "imagenet" or '
        f'"imagenet-center" likewise{own} or {remedy("None", "none")}. Wrong constants give no '
        "error but a poor accuracy: try them on some test images"
    )


def _foreign(content: object, source: str) -> object:
    """The content of a file; ValueError for a model that rsmooth wrote."""
    if isinstance(content, dict) and "format" in content:
        raise ValueError(
            f"expected a checkpoint of others, got {source} in our format {content['format']!r}; "
            + remedy(
                "open it with SmoothedClassifier.load",
                f"name it as the first argument, in place of --checkpoint: {source}",
            )
        )
    return content


def _network(name: str, sizes: Mapping[str, Any] | None = None) -> nn.Module:
    """The network of a registered model, without its normalisation."""
    model = build(name, {"num_classes": 10, **(sizes or {}), "normalize": None})
    if not isinstance(model, Classifier):
        raise ValueError(
            f"expected arch to name a rsmooth.models.Classifier, got {name!r}, a "
            f"{type(model).__name__}, although it takes normalize; build it with MODELS.create, "
            "and load the file: "
            "rsmooth.models.load_weights(base, rsmooth.models.safe_load(FILE), source=FILE)"
        )
    return model[1]


def _named_constants(value: object) -> Normalization:
    """Constants that an entry of the file names, where it is one that we know."""
    if isinstance(value, str):
        return value if value in NORMALIZATIONS else None
    return tuple(value) if isinstance(value, (tuple, list)) and value else None


def _telling(name: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """The options that shapes tell, without those that are the usual ones anyway."""
    usual = inspect.signature(MODELS.get(name)).parameters
    return {
        key: value
        for key, value in sizes.items()
        if key == "num_classes" or usual[key].default != value
    }


def _sizes(name: str, weights: Mapping[str, Tensor], source: str) -> dict[str, int]:
    """The number of classes, and of input channels where it is not the usual one."""
    net = _network(name)
    sizes = sizes_of(net, weights)
    if "num_classes" not in sizes:
        raise ValueError(
            f"expected the last layer's weights of {name} under {head_of(net)} in {source}, got "
            f"keys {some(list(weights))}; check the architecture: "
            + remedy("arch=", "--arch (rsmooth list models)")
        )
    return sizes


def _origin(path: str | os.PathLike[str]) -> dict[str, str] | None:
    """File name and SHA-256 of a file that has no checksums of its own."""
    with open(path, "rb") as file:
        start = file.read(len(ZIPPED))
        if start == ZIPPED:
            return None
        digest = hashlib.sha256(start)
        while block := file.read(2**20):
            digest.update(block)
    return {"file": Path(path).name, "sha256": digest.hexdigest()}


def _registered_name(arch: object, source: str) -> str:
    name = PUBLISHED_ARCHITECTURES.get(str(arch), str(arch))
    if name not in MODELS:
        raise ValueError(
            f"expected arch to be one of {', '.join(PUBLISHED_ARCHITECTURES)} or a registered "
            f"model, got {arch!r} for {source}; "
            + remedy('give arch=, such as arch="resnet20"', "give --arch, such as --arch resnet20")
        )
    return name
