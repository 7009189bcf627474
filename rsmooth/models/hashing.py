"""The hash that names a base classifier in records and on cards."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from torch import Tensor, nn

from rsmooth.plumbing.digests import update_digest, without_addresses
from rsmooth.plumbing.layer_options import caches, digest_of_options


def base_hash(base: nn.Module) -> str:
    """Sixteen hex digits of a hash of a network: its layers and their options, weights, buffers.

        base_hash(g.base)      # "91c0d2..."

    Options count as printed, and those that are not printed by ``unprinted_options``. It does not
    cover code. Two networks have one hash where their layers print alike and hold the same numbers,
    even if their ``forward`` differs. DataParallel or torch.compile around it leaves its hash.
    """
    base = _unwrapped(base)
    return _hash(_printed(base), _held(base), _options(base))


def is_base_hash(hashed: object, base: nn.Module) -> bool:
    """Whether a hash is that of the network, from this version or an earlier one.

        is_base_hash(card["model_hash"], g.base)

    Earlier versions left out options that are not printed, and took buffers that a pass makes for
    weights, and what wraps a network for a part of it. Releases of torch up to 2.11 leave out
    ``bias=`` in what batch norms print, and some later ones add it.
    """
    return any(_is_hash(hashed, each) for each in dict.fromkeys((_unwrapped(base), base)))


def _unwrapped(base: nn.Module) -> nn.Module:
    """The network in what runs it on several devices, or compiled."""
    while isinstance(base, nn.DataParallel | nn.parallel.DistributedDataParallel):
        base = base.module
    inner = getattr(base, "_orig_mod", None)  # of the class OptimizedModule, slow to import
    return _unwrapped(inner) if isinstance(inner, nn.Module) else base


def _is_hash(hashed: object, base: nn.Module) -> bool:
    printed = _printed(base)
    without = re.sub(r"(affine=(?:True|False)), bias=(?:True|False)", r"\1", printed)
    added = re.sub(r"affine=(True|False)", r"affine=\1, bias=\1", without)
    held = _held(base)
    versions = [(held, _options(base)), (held, b"")]
    if made := caches(base) & dict(base.named_buffers()).keys():
        versions.append(({**held, **{name: base.get_buffer(name) for name in made}}, b""))
    return any(
        hashed == _hash(layers, *version)
        for version in versions
        for layers in dict.fromkeys((printed, without, added))
    )


def _options(base: nn.Module) -> bytes:
    """Never empty: the hash of a network without such options is no earlier hash of another one."""
    return b"options" + digest_of_options(base)


def _printed(base: nn.Module) -> str:
    return without_addresses(repr(base))


def _hash(layers: str, held: dict[str, Any], options: bytes) -> str:
    digest = hashlib.sha256(layers.encode())
    for name, value in sorted(held.items()):
        digest.update(name.encode())
        update_digest(digest, value)
    digest.update(options)
    return digest.hexdigest()[:16]


def _held(base: nn.Module) -> dict[str, Any]:
    """Parameters, buffers and further state by name; also what a state_dict of its own leaves out.

    Such as one that saves a new head alone, and not the network that it is on. Without buffers that
    the first pass makes: the hash is the same before and after it.
    """
    state = base.state_dict()
    places = {value.data_ptr() for value in state.values() if isinstance(value, Tensor)}
    left_out = {
        name: parameter
        for name, parameter in base.named_parameters()
        if name not in state and parameter.data_ptr() not in places
    }
    made = caches(base)
    buffers = {name: value for name, value in base.named_buffers() if name not in made}
    return {**left_out, **buffers, **state}
