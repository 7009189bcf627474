"""Checkpoints of networks that users register: they normalise by themselves, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from rsmooth.config.specs import accepts
from rsmooth.models.checkpoints import load_weights
from rsmooth.models.layouts import Layout, weights_of
from rsmooth.models.normalize import Classifier
from rsmooth.plumbing.errors import remedy
from rsmooth.registry import MODELS


def normalizes_itself(name: str) -> bool:
    """Whether a registered network takes no normalisation as an option.

    normalizes_itself("resnet20")      # False
    """
    return not accepts(MODELS.get(name), "normalize")


def load_whole(name: str, layout: Layout, normalize: object, source: str) -> nn.Module:
    """A registered network that takes no normalisation, with the weights of a file.

        load_whole("mine", read_layout(safe_load("mine.pth"), "mine.pth"), "unknown", "mine.pth")

    The number of classes and of input channels follow from the weights, where the network has
    options of these names. ValueError for a normalisation, be it given or in the file beside the
    network, for a network that needs other options, and for weights that do not fit.
    """
    first = build(name, {"num_classes": 10})
    _check_unnormalized(name, normalize)
    part = _part_of(first, layout.weights, source)
    weights = weights_of(layout.weights, part.state_dict(), source)[0]
    model: Any = build(name, sizes_of(part, weights))
    load_weights(model if part is first else model[1], layout.weights, source)
    return model  # type: ignore[no-any-return]


def build(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The registered network with those of the options that it takes.

    ValueError where it needs others.
    """
    taken = {key: each for key, each in options.items() if accepts(MODELS.get(name), key)}
    try:
        model: nn.Module = MODELS.create(name, **taken)
    except (TypeError, ValueError) as error:  # it needs other options, as libraries do
        raise ValueError(
            f"expected arch to name a network that needs no further options, got {name!r} "
            f"({error}); build it with MODELS.create, and load the file: "
            "rsmooth.models.load_weights(base[1], rsmooth.models.safe_load(FILE), source=FILE), or "
            "base in place of base[1], where it is no rsmooth.models.Classifier"
        ) from error
    return model


def head_of(net: nn.Module) -> str:
    """The name of the weights of the last linear layer: "fc.weight"."""
    heads = [each for each, layer in net.named_modules() if isinstance(layer, nn.Linear)]
    return f"{heads[-1]}.weight" if heads and heads[-1] else "weight"


def sizes_of(net: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of classes, and of input channels where it is another, that weights tell.

    sizes_of(net, {"fc.weight": torch.zeros(7, 64)})     # {"num_classes": 7}
    """
    found: dict[str, int] = {}
    head = weights.get(head_of(net))
    if isinstance(head, Tensor) and head.ndim == 2:
        found["num_classes"] = int(head.shape[0])
    kernels = ((each, own) for each, own in net.named_parameters() if own.ndim == 4)
    first, own = next(kernels, ("", None))
    given = weights.get(first)
    if own is not None and isinstance(given, Tensor) and given.ndim == 4:
        channels = int(given.shape[1])
        if channels != own.shape[1]:
            found["in_channels"] = channels
    return found


def _check_unnormalized(name: str, normalize: object) -> None:
    """ValueError for a normalisation that the network could not be given."""
    if normalize in ("unknown", "none", None):
        return
    option = remedy("normalize", "--normalize (or give none)")
    raise ValueError(
        f"expected no normalisation for {name}, which takes none, got {normalize!r}; leave "
        f"{option} out where the network normalises its images itself, or add the option "
        f"normalize to its constructor and make it a rsmooth.models.Classifier"
    )


def _part_of(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> nn.Module:
    """The part of a model that a file is of: all of it, or the network behind a normalisation."""
    for part in (model, model[1]) if isinstance(model, Classifier) else ():
        own = part.state_dict()
        if own.keys() <= weights_of(weights, own, source)[0].keys():
            return part
    return model
