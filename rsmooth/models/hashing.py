"""The hash that names a base classifier in records and on cards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


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
    return _without_addresses(repr(base))


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "", text)  # they differ between processes


def _hash(base: nn.Module, layers: str) -> str:
    digest = hashlib.sha256(layers.encode())
    for name, value in sorted(_held(base).items()):
        digest.update(name.encode())
        _update(digest, value)
    return digest.hexdigest()[:16]


def _held(base: nn.Module) -> dict[str, Any]:
    """Parameters, buffers and further state by name; also what a state_dict of its own leaves out.

    Such as one that saves a new head alone, and not the network that it is on.
    """
    state = base.state_dict()
    places = {value.data_ptr() for value in state.values() if isinstance(value, Tensor)}
    left_out = {
        name: parameter
        for name, parameter in base.named_parameters()
        if name not in state and parameter.data_ptr() not in places
    }
    return {**left_out, **dict(base.named_buffers()), **state}


def _update(digest: hashlib._Hash, value: Any) -> None:
    """Add a tensor, or what get_extra_state of a layer gave."""
    if isinstance(value, Tensor):
        digest.update(f" {value.dtype} {tuple(value.shape)}".encode())
        plain = value.detach().cpu().resolve_conj().contiguous()
        digest.update(plain.view(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):  # whose print leaves numbers out
        digest.update(f" {value.dtype} {value.shape}".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        _update(digest, list(value.items()))
    elif isinstance(value, (list, tuple)):
        digest.update(f" {len(value)}".encode())
        for each in value:
            _update(digest, each)
    else:
        digest.update(f" {_without_addresses(repr(value))}".encode())
