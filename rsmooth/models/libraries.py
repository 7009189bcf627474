"""What networks of timm, torchvision and Hugging Face by name have in common.

Each is normalised as its library states it. A file of such a model holds all that rebuilds it:
options, constants and, of Hugging Face, the configuration. So it is opened without a download.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.plumbing.names import close_names
from rsmooth.plumbing.numbers import check_sizes

OWN = "own"  # the normalisation that the library states for a network


class LibraryClassifier(Classifier):
    """Normalisation, then a network of a library: images (N, C, H, W) in [0, 1] -> logits (N, K).

    plain_options: what rebuilds it, without weights and without a download.
    """

    plain_options: dict[str, Any] | None


def network_name(library: str, model: str | None, options: dict[str, Any]) -> str:
    """The name of the network, given as ``model`` or, in Python, as ``name``."""
    name = options.pop("name", None)
    if (model is None) == (name is None) or not isinstance(model or name, str):
        raise ValueError(
            f"expected the name of one network of {library}, got model={model!r}, name={name!r}; "
            "give e.g. model='resnet18'"
        )
    return str(model or name)


def check_options(num_classes: int | None, in_channels: int | None, image_size: int | None) -> None:
    sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    check_sizes(**{name: size for name, size in sizes.items() if size is not None})


def check_known(library: str, model: str, known: Sequence[str]) -> None:
    """ValueError, with the close matches, for a name that the library does not have."""
    if ":" in model:  # a place, such as hf-hub:..., whose options a file could not hold
        raise ValueError(
            f"expected the plain name of a network of {library}, got {model!r}; build it with "
            "timm.create_model, and register a function that does so: @MODELS.register('name')"
        )
    if model.split(".")[0] not in known or (library == "torchvision" and model not in known):
        close = close_names(model, known)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "see its list_models"
        raise ValueError(f"expected a network of {library}, got {model!r}; {hint}")


def in_our_words(library: str, model: str, pretrained: bool, make: Callable[[], Any]) -> Any:
    """What ``make`` returns; in our words, what keeps the library from it."""
    try:
        return make()
    except OSError as error:
        what, way = (
            ("weights", "pretrained=False draws random ones")
            if pretrained
            else (
                "configuration",
                "a folder with its config.json, or pretrained=True, which asks the Hub",
            )
        )
        raise OSError(
            f"expected to find or fetch the {what} of {library} {model!r}, got "
            f"{type(error).__name__}: {_first_line(error)}; check the name and the network, or "
            f"fetch it where there is one; {way}"
        ) from error
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        if str(error).startswith("expected "):
            raise
        raise ValueError(
            f"expected options that {library} takes for {model!r}, got {type(error).__name__}: "
            f"{_first_line(error)}; check them, num_classes, in_channels and image_size"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no reason").splitlines()[0]


def constants(
    normalize: Normalization, mean: Any, std: Any, in_channels: int, model: str
) -> Normalization:
    """The normalisation as given, or the constants that the library states, for these channels."""
    if normalize != OWN:
        return normalize
    if not mean or not std:
        raise ValueError(ask_normalization(model, "states none"))
    means, stds = [float(value) for value in mean], [float(value) for value in std]
    if in_channels == 1:  # timm sums the weights of the colours for grey images
        return [sum(means) / len(means)], [sum(stds) / len(stds)]
    if len(means) not in (1, in_channels):
        raise ValueError(
            ask_normalization(model, f"states it for {len(means)} channels, not {in_channels}")
        )
    return means, stds


def ask_normalization(model: str, why: str) -> str:
    return (
        f"expected a normalisation, got none: {model!r} {why}; give normalize=(mean, std), or a "
        "name such as 'cifar10' or 'none'"
    )


def finished(
    net: nn.Module,
    normalize: Normalization,
    in_channels: int,
    image_size: int | None,
    plain: dict[str, Any],
) -> LibraryClassifier:
    made = LibraryClassifier(net, normalize, in_channels)
    sizes = {"in_channels": in_channels, "image_size": image_size}
    noted = list(normalize) if isinstance(normalize, tuple) else normalize
    made.plain_options = {**plain, **sizes, "normalize": noted}
    return made
