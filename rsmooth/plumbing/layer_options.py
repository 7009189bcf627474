"""Options of layers that printing a network leaves out."""

from __future__ import annotations

import dis
import hashlib
import inspect
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from types import CodeType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rsmooth.plumbing.digests import update_digest

NOTES = ("architecture", "origin", "layers_at_creation", "plain_options")  # what we note on a base

FILLING = {"append", "add", "update", "extend", "insert", "setdefault", "pop", "clear", "remove"}

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
    field of a dataclass or namespace. What it assigns is no option, nor is a list, dict or set
    where it fills one.
    """
    found = [
        (f"{place}.{name}" if place else name, _plain(value))
        for place, part in net.named_modules()
        for name, value in _options(part)
    ]
    return sorted(found, key=lambda each: each[0])


def digest_of_options(net: nn.Module) -> bytes:
    """The SHA-256 of a network's unprinted options; empty where it has none.

    digest_of_options(net) == digest_of_options(copy.deepcopy(net))
    """
    options = unprinted_options(net)
    digest = hashlib.sha256()
    update_digest(digest, options)
    return digest.digest() if options else b""


def _options(part: nn.Module) -> Iterator[tuple[str, Any]]:
    for kind, options in UNPRINTED.items():
        if isinstance(part, kind):
            for name, usual in options.items():
                value = getattr(part, name, usual)
                if usual is _ALWAYS or value != usual:
                    yield name, value
    read, assigned, fills = _names_in_forward(part)
    kept = {name: value for name, value in vars(part).items() if name in read - assigned}
    for name, value in kept.items():
        for field, inner in _fields(value).items():
            if field in read and is_plain(inner):
                yield f"{name}.{field}", inner
        filled = fills and isinstance(value, (list, dict, set))
        if value is not None and is_plain(value) and not filled:
            yield name, value


def _fields(value: Any) -> dict[str, Any]:
    """What a dataclass or namespace holds by name; nothing for other values."""
    if isinstance(value, (SimpleNamespace, Namespace)):
        return vars(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return {}


def is_plain(value: object) -> bool:
    """Whether a value is a number, a flag, text, an array, a function, or a collection of them."""
    if isinstance(value, dict):
        return all(is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_plain(each) for each in value)
    if isinstance(value, partial):
        return all(is_plain(each) for each in (value.func, value.args, value.keywords))
    if isinstance(value, Tensor):
        return value.layout == torch.strided and not value.is_meta
    plain = (bool, int, float, complex, str, bytes, Enum, np.generic, np.ndarray, torch.dtype)
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
    if isinstance(value, partial):
        return ["partial", *map(_plain, (value.func, value.args, value.keywords))]
    if inspect.isroutine(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return value


def _names_in_forward(part: nn.Module) -> tuple[set[str], set[str], bool]:
    """Names in the code of ``forward``, attributes that it assigns, whether it fills collections.

    With the code that it calls, as far as ``_called`` finds it.
    """
    read: set[str] = set()
    assigned = {*vars(nn.Module()), *NOTES}
    fills = False
    asked = [*_members(part, "forward"), *_members(part, "__call__")]
    known: set[Any] = set()
    while asked:
        function = asked.pop()
        if function in known:
            continue
        known.add(function)
        for code in _nested(function.__code__):
            names = set(code.co_names)
            steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
            read |= names
            assigned |= {name for step, name in steps if step == "STORE_ATTR"}
            fills |= bool(FILLING & names) or any(step == "STORE_SUBSCR" for step, _ in steps)
            asked += _called(part, function, names)
    return read, assigned, fills


def _called(part: nn.Module, function: Any, names: set[str]) -> Iterator[Any]:
    """Functions of these names: members of the layer, and global ones of the function's package."""
    for name in names:
        yield from _members(part, name)
        found = function.__globals__.get(name)
        if inspect.isfunction(found) and _package(found) == _package(function):
            yield found


def _members(part: nn.Module, name: str) -> Iterator[Any]:
    """Functions in Python of this name, of each class of the layer: one may call that below it.

    Code of torch and of rsmooth is left out.
    """
    owners = [vars(kind) for kind in type(part).__mro__ if not _is_printing(kind)]
    for owner in (*owners, vars(part)):
        member = owner.get(name)
        for found in (member, getattr(member, "fget", None), getattr(member, "__func__", None)):
            if callable(found) and inspect.isfunction(own := inspect.unwrap(found)):
                yield own


def _package(kind: Any) -> str:
    return str(kind.__module__).split(".")[0]


def _is_printing(kind: type) -> bool:
    """Whether a class prints its options, or has them in ``UNPRINTED``."""
    return _package(kind) in ("torch", "rsmooth", "builtins")


def _nested(code: CodeType) -> Iterator[CodeType]:
    """The code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)
