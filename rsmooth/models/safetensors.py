"""Weights as .safetensors: a file of numbers without code, which any framework reads."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path

SUFFIX = ".safetensors"
# The entry of the file's metadata, which is text only, that holds all that is no tensor.
ENTRY = "rsmooth"
# Its key of a SHA-256 over tensors and values, for the format has no checksum.
SUM = "sha256_of_content"


def in_half(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights rounded to float16 where they are matrices and kernels; the rest as it is.

        small = in_half(net.state_dict())

    Vectors stay: biases, and what batch norm knows, are few, and its variances may be small.
    OverflowError where a weight is too large for float16.
    """
    rounded = {
        name: tensor.half() if tensor.is_floating_point() and tensor.ndim >= 2 else tensor
        for name, tensor in state_dict.items()
    }
    for name, tensor in rounded.items():
        if not bool(torch.isfinite(tensor).all()) and bool(torch.isfinite(state_dict[name]).all()):
            raise OverflowError(
                f"expected weights within ±65504 to be kept in float16, got larger ones in {name}; "
                "save them as they are"
            )
    return rounded


def write_tensors(
    path: str | os.PathLike[str], state_dict: Mapping[str, Tensor], content: Mapping[str, Any]
) -> None:
    """Write tensors and plain values to one file, whole or not at all.

        write_tensors("model.safetensors", net.state_dict(), {"num_classes": 10})

    content: what JSON can hold; TypeError for anything else.
    """
    replace_file(user_path(path), tensor_bytes(state_dict, content))


def tensor_bytes(state_dict: Mapping[str, Tensor], content: Mapping[str, Any]) -> bytes:
    """What ``write_tensors`` writes."""
    from safetensors.torch import save  # only who needs such files needs the package

    # Copies, since the format refuses tensors that share memory, such as those of tied layers.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in state_dict.items()
    }
    plain = json.loads(json.dumps(dict(content)))  # as it will be read: keys are text
    text = json.dumps({**plain, SUM: _sum(tensors, plain)}, sort_keys=True)
    # One entry: several come in an order that differs from call to call, and so would the bytes.
    made: bytes = save(tensors, metadata={ENTRY: text})
    return made


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the plain values that ``write_tensors`` wrote, on the CPU.

        weights, content = read_tensors("model.safetensors")

    ValueError for a file that is damaged, or that others wrote. OSError for one that is absent.
    Files of earlier versions have no checksum, by which damaged numbers would be found.
    """
    from safetensors import SafetensorError, safe_open

    path = user_path(path)
    # What cannot be opened is no damage.
    with open(path, "rb"):
        pass
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"expected a .safetensors file, got {path}, which is damaged or of another kind "
            f"({error}); download or write it again"
        ) from error
    try:
        content = dict(json.loads(metadata[ENTRY]))
    except (KeyError, TypeError, ValueError):  # no entry, no text of JSON, or no object in it
        raise ValueError(
            f"expected a model written by SmoothedClassifier.save, got the weights of others in "
            f"{path}; build the network and load them with safetensors.torch.load_file"
        ) from None
    said = content.pop(SUM, None)
    if said is not None and said != _sum(tensors, content):
        raise ValueError(
            f"expected tensors and values that fit their checksum in {path}, got others; the file "
            "is damaged: download or write it again"
        )
    return tensors, content


def _sum(tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(dict(content), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
