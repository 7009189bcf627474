"""The hash that names a base classifier in records and on cards."""

from __future__ import annotations

import hashlib
import re

import torch
from torch import nn


def base_hash(base: nn.Module) -> str:
    """Sixteen hex digits of a hash of a network: its layers as printed, weights, buffers.

        base_hash(g.base)      # "91c0d2..."

    It does not cover code. Two networks have one hash where their layers print alike and hold the
    same numbers, even if their ``forward`` differs.
    """
    return _hash(base, _printed(base))


def is_base_hash(hashed: object, base: nn.Module) -> bool:
    """Whether a hash is that of the network, whichever release of torch printed its layers.

        is_base_hash(card["model_hash"], g.base)

    Releases up to 2.11 leave out ``bias=`` in what batch norms print, and some later ones add it.
    """
    printed = _printed(base)
    without = re.sub(r"(affine=(?:True|False)), bias=(?:True|False)", r"\1", printed)
    added = re.sub(r"affine=(True|False)", r"affine=\1, bias=\1", without)
    return hashed in {_hash(base, layers) for layers in (printed, without, added)}


def _printed(base: nn.Module) -> str:
    return re.sub(r"0x[0-9a-f]+", "", repr(base))  # addresses differ between processes


def _hash(base: nn.Module, layers: str) -> str:
    digest = hashlib.sha256(layers.encode())
    for name, tensor in sorted({**dict(base.named_buffers()), **base.state_dict()}.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()[:16]
