"""What is suspicious in weights by themselves, before any image is seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from rsmooth.doctor.findings import Finding, listed
from rsmooth.models.families import FAMILIES
from rsmooth.models.recognise import built, prefixes, translated
from rsmooth.registry import MODELS

_LEAST = 0.5  # of a file's names that a network must have, to be what the file is a part of
_PREFIXES = 40
_FEWEST = 3  # tensors that a part of a network has


@dataclass(frozen=True)
class Nearest:
    """A network of ours that weights nearly fit: what it lacks in them, and what they have more."""

    name: str
    prefix: str
    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]


def suspicions(weights: Mapping[str, Tensor]) -> list[Finding]:
    """What is suspicious in the weights of one network, by name; empty where nothing is.

    suspicions(net.state_dict())
    """
    found = [_not_finite(weights), _precision(weights), *_batch_norm(weights), _empty(weights)]
    return [finding for finding in found if finding is not None]


def nearest(weights: Mapping[str, Tensor]) -> list[Nearest]:
    """The networks of ours that weights fit but for some layers, the best ones (several at a tie).

    nearest({"conv1.weight": ..., "fc.weight": ...})[0].missing
    """
    best: list[tuple[float, Nearest]] = []
    for prefix in prefixes(weights)[:_PREFIXES]:
        inner = {
            name[len(prefix) :]: each for name, each in weights.items() if name.startswith(prefix)
        }
        for name in FAMILIES:
            if name in MODELS.own_names():
                best += _compared(name, prefix, inner, len(weights))
    top = max((score for score, _ in best), default=0.0)
    return [each for score, each in best if score == top and top > 0]


def statistics_lack(near: Nearest) -> bool:
    """Whether all that is missing are the running statistics of batch norm."""
    return bool(near.missing) and all(
        name.endswith(("running_mean", "running_var")) for name in near.missing
    )


def parameters(weights: Mapping[str, Tensor]) -> int:
    """How many numbers are learnt: all but running statistics and counters."""
    return sum(
        each.numel()
        for name, each in weights.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )


def _compared(
    name: str, prefix: str, inner: Mapping[str, Tensor], total: int
) -> list[tuple[float, Nearest]]:
    words = translated(name, inner)
    shapes = {key: tuple(each.shape) for key, each in words.items() if not _is_counter(key)}
    # Building torchvision's network takes seconds, and only bottlenecks have a third convolution.
    if name == "resnet50" and "layer1.0.conv3.weight" not in shapes:
        return []
    if sum(key in _usual_shapes(name) for key in shapes) < _FEWEST:
        return []
    try:
        tried = list(FAMILIES[name](shapes))[:1]
    except (KeyError, IndexError, ValueError):
        tried = []
    needed = _shapes_of(name, tried[0]) if tried else _usual_shapes(name)
    same = [key for key in needed if shapes.get(key) == needed[key]]
    # The head alone differs with the number of classes.
    alike = [key for key in needed if len(shapes.get(key, ())) == len(needed[key])]
    if len(same) < _FEWEST or len(alike) < _LEAST * len(shapes) or len(alike) < _LEAST * total / 2:
        return []
    near = Nearest(
        name,
        prefix,
        [prefix + key for key in needed if key not in shapes],
        [prefix + key for key in shapes if key not in needed],
        [prefix + key for key in needed if key in shapes and key not in same],
    )
    # A part may be one of several networks; no number of missing layers tells which.
    return [(len(same) / len(shapes), near)]


def _shapes_of(name: str, options: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's weights by name; none where it cannot be built so."""
    quick = {"initial": "torch"} if "initial" in signature(MODELS.get(name)).parameters else {}
    try:
        own = built(name, {**options, **quick})[1].state_dict()
    except (ValueError, TypeError):
        return {}
    return {key: tuple(each.shape) for key, each in own.items() if not _is_counter(key)}


@cache
def _usual_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return _shapes_of(name, {})


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _not_finite(weights: Mapping[str, Tensor]) -> Finding | None:
    bad = [
        name
        for name, each in weights.items()
        if each.is_floating_point() and not bool(torch.isfinite(each).all())
    ]
    if not bad:
        return None
    return Finding(
        "wrong",
        "weights",
        f"NaN or infinite in {listed(bad)}: the training has diverged, or the file was damaged",
    )


def _precision(weights: Mapping[str, Tensor]) -> Finding | None:
    kinds = {
        str(each.dtype).removeprefix("torch.")
        for each in weights.values()
        if each.is_floating_point()
    }
    low = sorted(kinds & {"float16", "bfloat16"})
    if not low:
        return None
    return Finding(
        "look",
        "precision",
        f"weights in {' and '.join(low)}: rsmooth computes them in float32, which is another "
        "classifier than the one in lower precision; certificates are of that one",
    )


def _batch_norm(weights: Mapping[str, Tensor]) -> list[Finding]:
    means = {
        n.removesuffix("running_mean"): t for n, t in weights.items() if n.endswith("running_mean")
    }
    variances = {
        n.removesuffix("running_var"): t for n, t in weights.items() if n.endswith("running_var")
    }
    untouched = [
        name
        for name, mean in means.items()
        if name in variances and not bool(mean.any()) and bool((variances[name] == 1).all())
    ]
    negative = [name for name, variance in variances.items() if bool((variance < 0).any())]
    found = []
    if untouched:
        found.append(
            Finding(
                "wrong" if len(untouched) == len(means) else "look",
                "batch norm",
                f"{len(untouched)} of {len(means)} layers have untouched running statistics (mean "
                f"0, variance 1), first {untouched[0].rstrip('.')}: the network was never in train "
                "mode, or they were not saved",
            )
        )
    if negative:
        found.append(
            Finding("wrong", "batch norm", f"negative variances in {listed(negative)}: damaged")
        )
    return found


def _empty(weights: Mapping[str, Tensor]) -> Finding | None:
    matrices = {name: each for name, each in weights.items() if each.ndim > 1 and each.numel()}
    still = [name for name, each in matrices.items() if bool((each == each.flatten()[0]).all())]
    if not still or math.prod(matrices[still[0]].shape) < 2:
        return None
    return Finding("wrong", "weights", f"all numbers are the same in {listed(still)}: not trained")
