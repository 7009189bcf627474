"""Options of layers that printing a network leaves out."""

from __future__ import annotations

import hashlib
import inspect
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rsmooth.plumbing.digests import update_digest
from rsmooth.plumbing.forward_code import CALLED, Uses, uses_of

NOTES = ("architecture", "origin", "layers_at_creation", "plain_options")  # what we note on a base
# How a layer is computed, and not what: training switches it on, or the machine decides it.
HOW = {"grad_checkpointing", "gradient_checkpointing", "use_checkpoint", "with_cp"}
HOW |= {"memory_efficient", "fused_attn", "_fast_norm"}

_POOLING = {"ceil_mode": False, "count_include_pad": True}
_ALWAYS = object()  # no default: the option always counts

# What torch's own layers compute with and do not print, with the value that most have.
UNPRINTED: dict[type[nn.Module], dict[str, Any]] = {
    nn.AvgPool1d: _POOLING,
    nn.AvgPool2d: {**_POOLING, "divisor_override": None},
    nn.AvgPool3d: {**_POOLING, "divisor_override": None},
    nn.CosineSimilarity: {"dim": 1, "eps": 1e-8},
    nn.EmbeddingBag: {"include_last_offset": False},
    nn.FractionalMaxPool2d: dict.fromkeys(("kernel_size", "output_size", "output_ratio"), _ALWAYS),
    nn.FractionalMaxPool3d: dict.fromkeys(("kernel_size", "output_size", "output_ratio"), _ALWAYS),
    nn.MultiheadAttention: {"num_heads": _ALWAYS, "batch_first": False, "add_zero_attn": False},
    nn.PairwiseDistance: {"norm": 2.0, "eps": 1e-6, "keepdim": False},
    nn.RNN: {"mode": "RNN_TANH"},
    nn.TransformerDecoderLayer: {"activation": nn.functional.relu, "norm_first": False},
    nn.TransformerEncoderLayer: {"activation": nn.functional.relu, "norm_first": False},
    nn.Upsample: {"align_corners": None, "recompute_scale_factor": None},
}


def unprinted_options(net: nn.Module) -> list[tuple[str, Any]]:
    """What the layers of a network compute with and do not print: names and plain values, sorted.

        unprinted_options(nn.AvgPool2d(2, ceil_mode=True))      # [("ceil_mode", True)]

    Of layers of torch, those of ``UNPRINTED`` that differ from most. Layers of rsmooth print all.
    Of other classes, each number, flag, text, array, function or collection of them that
    ``forward`` reads, itself or by methods and functions of its package that it calls; also as a
    field of a dataclass or namespace. What code of the network sets or keeps is no option: so the
    hash stays after a pass. A list, dict or set is none where forward fills one, nor a tensor or an
    array where it stores into one.
    """
    parts = [(place, part, uses_of(part)) for place, part in net.named_modules()]
    elsewhere = set[str]().union(*(uses.elsewhere for _, _, uses in parts))
    found = [
        (f"{place}.{name}" if place else name, _plain(value))
        for place, part, uses in parts
        for name, value in _options(part, uses, elsewhere)
    ]
    return sorted(found, key=lambda each: each[0])


def caches(net: nn.Module) -> set[str]:
    """Names of buffers that are not saved, and that code of the network sets: not weights of it.

    caches(timm.create_model("convit_tiny"))      # {"blocks.0.attn.rel_indices", ...}
    """
    return {
        f"{place}.{name}" if place else name
        for place, part in net.named_modules()
        if part._non_persistent_buffers_set
        for name in part._non_persistent_buffers_set & uses_of(part).assigned
    }


def digest_of_options(net: nn.Module) -> bytes:
    """The SHA-256 of a network's unprinted options; empty where it has none.

    digest_of_options(net) == digest_of_options(copy.deepcopy(net))
    """
    options = unprinted_options(net)
    digest = hashlib.sha256()
    update_digest(digest, options)
    return digest.digest() if options else b""


def _options(part: nn.Module, uses: Uses, elsewhere: set[str]) -> Iterator[tuple[str, Any]]:
    for kind, options in UNPRINTED.items():
        if isinstance(part, kind):
            for name, usual in options.items():
                value = getattr(part, name, usual)
                if usual is _ALWAYS or value != usual:
                    yield name, value
    none = {*vars(nn.Module()), *NOTES, *HOW, *CALLED, *uses.assigned, *elsewhere}
    read = uses.read - none
    yield from (
        (name, value)
        for name, value in _with_fields(vars(part), read)
        if value is not None and is_plain(value)
        if not (uses.fills and _holds(value, (list, dict, set)))
        if not (uses.stores and _holds(value, (Tensor, np.ndarray)))
    )


def _with_fields(values: dict[str, Any], read: set[str]) -> Iterator[tuple[str, Any]]:
    """The values that are read, and the fields that are of dataclasses and namespaces in them."""
    for name, value in values.items():
        if name not in read:
            continue
        yield name, value
        inner: dict[str, Any] = {}
        if isinstance(value, (SimpleNamespace, Namespace)):
            inner = vars(value)
        elif is_dataclass(value) and not isinstance(value, type):
            inner = {field.name: getattr(value, field.name, None) for field in fields(value)}
        yield from ((f"{name}.{field}", inner[field]) for field in inner if field in read)


def _holds(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value is of these kinds, or a tuple that holds such."""
    return isinstance(value, kinds) or (
        isinstance(value, tuple) and any(_holds(each, kinds) for each in value)
    )


def is_plain(value: object) -> bool:
    """Whether a value is a number, a flag, text, an array, a function, or a collection of them.

    is_plain({"scale": 2.0, "activation": torch.relu})      # True

    A member of an Enum counts as its value does.
    """
    if isinstance(value, dict):
        return all(is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_plain(each) for each in value)
    if isinstance(value, partial):
        return all(is_plain(each) for each in (value.func, value.args, value.keywords))
    if isinstance(value, Tensor):
        return value.layout == torch.strided and not (value.is_meta or value.is_nested)
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject  # whose bytes would be addresses
    if isinstance(value, Enum):
        return is_plain(value.value)
    plain = (bool, int, float, complex, str, bytes, np.generic, torch.dtype)
    return value is None or isinstance(value, plain) or inspect.isroutine(value)


def _plain(value: Any) -> Any:
    """The value in words that are the same in each process."""
    if isinstance(value, dict):
        return ["dict", *(each for pair in value.items() for each in map(_plain, pair))]
    if isinstance(value, (set, frozenset)):
        return ["set", *sorted((_plain(each) for each in value), key=repr)]
    if isinstance(value, (list, tuple)):
        return ["list", *map(_plain, value)]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Enum):
        return [type(value).__qualname__, value.name]
    if isinstance(value, partial):
        return ["partial", *map(_plain, (value.func, value.args, value.keywords))]
    if inspect.isroutine(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return value
