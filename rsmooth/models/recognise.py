"""Which registered network weights belong to, told from their names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rsmooth.models.families import FAMILIES, Shapes
from rsmooth.registry import DENOISERS, MODELS, ModelRegistry

# What other code calls the layers of these networks.
_OTHER_WORDS = {"linear": "fc", "shortcut": "downsample"}
_OF = ("resnet8", "resnet20", "resnet110", "cifar-resnet", "resnet50")
# How deep the names of a network may lie in a file.
_DEPTH = 4


@dataclass(frozen=True)
class Network:
    """A network of ours among weights: what builds it, and the prefix of its names.

    kind: "model" or "denoiser".
    options: of ``MODELS.create`` or ``DENOISERS.create``, as far as shapes tell them.
    """

    name: str
    options: dict[str, Any]
    prefix: str = ""
    kind: str = "model"


def networks(
    weights: Mapping[str, Tensor],
    names: Iterable[str] | None = None,
    image: tuple[int, ...] | None = None,
) -> list[Network]:
    """The networks of ours that weights by name hold, whole ones only, the largest first.

        networks(torch.load("net.pth", weights_only=True))

    names: of the registry entries to look for; by default all whose shapes tell them.
    image: (C, H, W), where it is known; it decides where shapes allow several.

    Names may have a prefix. Counters of batch norm may lack. Nothing is computed, and no network is
    built with numbers in it.
    """
    wanted = FAMILIES if names is None else {name: FAMILIES[name] for name in names}
    found: list[tuple[int, Network]] = []
    for prefix in prefixes(weights):
        inner = _under(weights, prefix)
        one = _first(inner, wanted, image)
        if one is not None:
            size = sum(tensor.numel() for tensor in inner.values())
            found.append((size, Network(one.name, one.options, prefix, one.kind)))
    largest = max((size for size, _ in found), default=0)
    # A part of a network may look like a small one of another family.
    return [network for size, network in found if 4 * size >= largest]


def options_of_shapes(name: str, weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """The options with which a registered network has the shapes of these weights; None if none.

    options_of_shapes("small-cnn", weights)     # {"num_classes": 10, "in_channels": 1, "width": 16}
    """
    if name not in FAMILIES:
        return None
    return next((each.options for each in networks(weights, [name])), None)


def translated(name: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with their layers called as in the network ``name``, where other words are common.

    translated("resnet20", {"linear.weight": head})     # {"fc.weight": head}
    """
    if name not in _OF:
        return dict(weights)
    parts = {part for key in weights for part in key.split(".")}
    words = {theirs: ours for theirs, ours in _OTHER_WORDS.items() if ours not in parts}
    return {
        ".".join(words.get(part, part) for part in key.split(".")): tensor
        for key, tensor in weights.items()
    }


def prefixes(weights: Mapping[str, Any]) -> list[str]:
    """Every prefix that names have, the empty one first: "", "model.", "model.layer1." ..."""
    found: dict[str, None] = {"": None}
    for name in weights:
        parts = name.split(".")[:-1][:_DEPTH]
        for count in range(1, len(parts) + 1):
            found[".".join(parts[:count]) + "."] = None
    return list(found)


def built(name: str, options: Mapping[str, Any], registry: ModelRegistry = MODELS) -> Any:
    """A network without numbers: only names and shapes, at no cost."""
    with torch.device("meta"):
        return registry.create(name, **options)


def _under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)
    }


def _first(
    weights: Mapping[str, Tensor],
    wanted: Mapping[str, Callable[[Shapes], Iterator[dict[str, Any]]]],
    image: tuple[int, ...] | None,
) -> Network | None:
    """The first family of which a member has just the shapes of these weights."""
    fitting = []
    for name, solve in wanted.items():
        shapes = {key: tuple(each.shape) for key, each in translated(name, weights).items()}
        kind = "denoiser" if name in DENOISERS.own_names() else "model"
        fitting += [
            Network(name, options, kind=kind)
            for options in _solved(solve, shapes)
            if _fits(name, options, shapes)
        ]
    if image is not None:
        fitting.sort(key=lambda each: not _takes(each.options, image))
    return fitting[0] if fitting else None


def _solved(
    solve: Callable[[Shapes], Iterator[dict[str, Any]]], shapes: Shapes
) -> list[dict[str, Any]]:
    try:
        return list(solve(shapes))
    except (KeyError, IndexError, ValueError):  # a layer of the family is not there
        return []


def _fits(name: str, options: dict[str, Any], shapes: Shapes) -> bool:
    denoiser = name in DENOISERS.own_names()
    try:
        model = built(name, _quick(name, options), DENOISERS if denoiser else MODELS)
    except ValueError:
        return False
    own = (model if denoiser else model[1]).state_dict()
    needed = {key: tuple(tensor.shape) for key, tensor in own.items() if not _is_counter(key)}
    return needed == {key: shape for key, shape in shapes.items() if not _is_counter(key)}


def _quick(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options with the first weights that cost least, which are thrown away."""
    return {**options, "initial": "torch"} if re.match("wk-|cnn7|dm-", name) else options


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _takes(options: Mapping[str, Any], image: tuple[int, ...]) -> bool:
    """Whether a network of these options takes images (C, H, W), as far as the options tell."""
    size = options.get("image_size", image[-1])
    return bool(options.get("in_channels", 3) == image[0] and size == image[-1])
