"""The files of a saved classifier: a folder for the Hub, .safetensors, or a file of torch.save."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from rsmooth.models.checkpoints import atomic_save, safe_load
from rsmooth.models.functions import function_of
from rsmooth.models.hub_card import FORMAT
from rsmooth.models.hub_folder import read_folder, write_folder
from rsmooth.models.safetensors import SUFFIX, read_tensors, write_tensors
from rsmooth.plumbing.errors import remedy
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import as_created

_NEEDED = ("architecture", "noise", "num_classes", "num_noise", "state_dict")


def architecture_of(base: nn.Module) -> Any:
    """Name and options that make a network again, as ``MODELS.create`` notes them.

        architecture_of(MODELS.create("resnet20"))["name"]     # "resnet20"

    ValueError for a network that notes none, and for a function, which has no weights.
    """
    function = function_of(base)
    if function is not None:
        raise ValueError(
            f"expected a base classifier with weights to save, got the function "
            f"{function.name}; keep what makes it, and wrap it again"
        )
    architecture = getattr(base, "architecture", None)
    if architecture is None:
        raise ValueError(
            "expected a base classifier from MODELS.create (it notes name and options), got "
            f"{type(base).__name__}; register its constructor with "
            "@MODELS.register('name'), or save its state_dict yourself"
        )
    if not as_created(base):
        raise ValueError(
            f"expected the layers that {architecture['name']!r} is made with, got others: the base "
            "classifier was changed after MODELS.create, and the file would hold another network; "
            "make the change in a constructor of your own (@MODELS.register('name')), or save its "
            "state_dict yourself"
        )
    return architecture


def write_model(
    path: str | os.PathLike[str], weights: Mapping[str, Tensor], content: Mapping[str, Any]
) -> None:
    """Write weights and what is said of them, whole or not at all.

        write_model("model.safetensors", g.base.state_dict(), content)

    path: a folder that is there or that ends in a slash, a name in .safetensors, or any other name
        for a file of torch.save.
    """
    target = user_path(path)
    if os.fspath(path).endswith(("/", os.sep)) or target.is_dir():
        write_folder(target, weights, content)
    elif target.suffix == SUFFIX:
        write_tensors(target, weights, content)
    else:
        atomic_save({**content, "state_dict": weights}, target)


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``write_model`` wrote, with the weights as ``state_dict``.

        read_model("model.safetensors")["architecture"]

    ValueError for a file of another kind, and for one that lacks entries.
    """
    content = _read(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(
            f"expected a model written by SmoothedClassifier.save, got {path}; "
            + remedy(
                "published checkpoints are opened by rsmooth.models.load_checkpoint",
                f"name a checkpoint of others as --checkpoint {path}, with --sigma",
            )
        )
    # Files of earlier versions know no noise but Gaussian.
    if "sigma" in content:
        content = {"noise": {"name": "gaussian", "sigma": content["sigma"]}, **content}
    lacking = [key for key in _NEEDED if key not in content]
    if lacking:
        raise ValueError(
            f"expected {', '.join(lacking)} in {path}, got {', '.join(map(str, content))}; "
            "the file is incomplete: write it again with SmoothedClassifier.save"
        )
    return content


def _read(path: str | os.PathLike[str]) -> Any:
    path = user_path(path)
    if path.is_dir():
        weights, content = read_folder(path)
    elif path.suffix == SUFFIX:
        weights, content = read_tensors(path)
    else:
        return safe_load(path)
    return {**content, "state_dict": weights}
