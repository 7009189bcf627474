"""The layouts in which people keep weights, brought to one: what a checkpoint holds of a network.

A state dict may be the whole file or one of its entries. Its keys may have prefixes, of a wrapper
(``module.``, ``_orig_mod.``, ``model.``) or of a normalising layer before the network. The
constants of that layer may be among its entries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rsmooth.models.normalize import NORMALIZATIONS, Normalization
from rsmooth.plumbing.errors import remedy

# Where files keep their weights, the usual entry first.
ENTRIES = ("state_dict", "model_state_dict", "net", "model", "network", "weights")
_WRAPPERS = ("module", "_orig_mod")  # parts of names that DataParallel and torch.compile add
_MEANS = ("mean", "means", "mu", "_mean", "image_mean", "pixel_mean")
_STDS = ("std", "stds", "sd", "sds", "sigma", "_std", "image_std", "pixel_std")
_TOLERANCE = 1e-4  # of constants: what float32 and rounding to four digits leave


@dataclass(frozen=True)
class Layout:
    """What a file holds: the name of the architecture, weights by name, and constants.

    arch: as the file writes it; None where it names none.
    weights: names without wrappers, as far as those are known without the network.
    constants: normalisation that an entry of the file names; None where there is none.
    """

    arch: object
    weights: dict[str, Tensor]
    constants: object = None


def read_layout(content: object, source: str) -> Layout:
    """The weights in what torch.load returned; ValueError, naming ``source``, where there are none.

    read_layout({"net": weights, "epoch": 90}, "net.pth").weights
    """
    if not isinstance(content, Mapping):
        raise ValueError(
            f"expected a state dict, or a dict with one under {', '.join(ENTRIES)}, in {source}, "
            f"got {type(content).__name__}; save the state_dict of the model"
        )
    if _is_state_dict(content):
        return Layout(None, _unwrapped(content))
    found = [name for name in ENTRIES if _is_state_dict(content.get(name))]
    if not found:
        raise ValueError(
            f"expected a state dict, or a dict with one under {', '.join(ENTRIES)}, in {source}, "
            f"got {some(sorted(map(str, content)), 8)}; save the weights under state_dict"
        )
    if len(found) > 1 and found[0] != "state_dict":
        raise ValueError(
            f"expected one state dict in {source}, got {' and '.join(found)}; save the wanted one "
            "under state_dict in a file of its own"
        )
    return Layout(content.get("arch"), _unwrapped(content[found[0]]), content.get("normalize"))


def weights_of(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The entries of a network, by its ``own`` names, and what is left over.

        weights, rest = weights_of(layout.weights, net.state_dict(), "checkpoint.pth.tar")

    The prefix before the names may be anything. Counters of batch norm (num_batches_tracked), which
    files before torch 0.4.1 lack, are those of ``own``. ValueError for several networks that fit.
    """
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    prefix = _prefix(weights, needed, source)
    inner = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
    rest = {name: tensor for name, tensor in weights.items() if not name.startswith(prefix)}
    if not prefix:  # what stands beside the network has no place of its own
        beside = [name for name in inner if name not in own and is_constant(name)]
        rest = {name: inner.pop(name) for name in beside}
    if any(name in inner for name in own):
        inner = {**{name: own[name] for name in own if name not in needed}, **inner}
    return inner, rest


def _prefix(weights: Mapping[str, Tensor], needed: Sequence[str], source: str) -> str:
    """What stands before the names of a network; ValueError where several networks fit."""
    first = needed[0] if needed else ""
    prefixes = [
        name[: -len(first)]
        for name in weights
        if name == first or (first and name.endswith(f".{first}"))
    ]
    fitting = [each for each in prefixes if all(each + name in weights for name in needed)]
    if len(fitting) > 1:
        raise ValueError(
            f"expected one network in {source}, got several, under {', '.join(fitting)}; save the "
            "state dict of the wanted one in a file of its own"
        )
    return (fitting or prefixes or [""])[0]


def is_constant(name: str) -> bool:
    """Whether an entry is called as the mean or the std of a normalising layer is."""
    return name.rsplit(".", 1)[-1].lower() in (*_MEANS, *_STDS)


def constants_among(rest: Mapping[str, Tensor], source: str) -> Normalization:
    """(mean, std) or (mean,) of a normalising layer among entries; None where there is none.

    ValueError, naming ``source``, for several layers, and for values that are none of [0, 1].
    """
    means = [name for name in rest if name.rsplit(".", 1)[-1].lower() in _MEANS]
    stds = [name for name in rest if name.rsplit(".", 1)[-1].lower() in _STDS]
    if not means and not stds:
        return None
    if len(means) != 1 or len(stds) > 1:
        raise ValueError(
            f"expected the mean and the std of one normalising layer in {source}, got "
            f"{', '.join([*means, *stds])}; save the state dict without them, and "
            + remedy('give normalize=, such as "cifar10"', "give --normalize, such as cifar10")
        )
    found = [_numbers(rest[name]) for name in (*means, *stds)]
    if any(abs(value) > 1 for value in found[0]):
        raise ValueError(
            f"expected normalisation constants for images in [0, 1] in {source}, got "
            f"{means[0]} = {found[0]}; divide mean and std by 255, or save the state dict without "
            "them"
        )
    return (found[0], found[1]) if stds else (found[0],)


def agreed(given: Normalization, found: Normalization, source: str) -> Normalization:
    """The normalisation to use: what was given, or else what was found in the file.

        agreed("unknown", ((0.5,), (0.2,)), "net.pth")      # ((0.5,), (0.2,))

    "unknown" where nothing was given, or nothing is known at all. ValueError where both are there
    and differ.
    """
    if isinstance(given, str) and given not in NORMALIZATIONS and given != "unknown":
        return given  # whoever makes the layer says which names there are
    if given == "unknown":
        return "unknown" if found is None else found
    if found is not None and not _alike(given, found):
        raise ValueError(
            f"expected the normalisation that {source} holds, {found}, got {given!r}; "
            + remedy("leave normalize out to use it", "leave --normalize out to use it")
        )
    return given


def some(names: Sequence[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _is_state_dict(value: object) -> bool:
    """Whether a value has names, and tensors of more than one number under some of them."""
    if not isinstance(value, Mapping) or not value:
        return False
    tensors = [each for each in value.values() if isinstance(each, Tensor)]
    return 2 * len(tensors) > len(value) and any(each.ndim > 1 for each in tensors)


def _unwrapped(weights: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Names without the wrappers of DataParallel and torch.compile; no count of averages."""
    return {
        ".".join(part for part in str(name).split(".") if part not in _WRAPPERS): tensor
        for name, tensor in weights.items()
        if str(name) != "n_averaged"
    }


def _numbers(tensor: Tensor) -> tuple[float, ...]:
    """The constants as plain numbers, of float32 in as few digits as it takes."""
    return tuple(float(str(value)) for value in tensor.detach().flatten().float().numpy())


def _alike(given: Normalization, found: Normalization) -> bool:
    """Whether two normalisations mean the same, up to rounding."""
    known = [NORMALIZATIONS[each] if isinstance(each, str) else each for each in (given, found)]
    if known[0] is None or known[1] is None:
        return known[0] is known[1]
    first, second = ([_listed(each) for each in pair or () if each is not None] for pair in known)
    if len(first) != len(second):
        return False
    return all(_close(*parts) for parts in zip(first, second, strict=True))


def _close(ours: list[float], theirs: list[float]) -> bool:
    count = max(len(ours), len(theirs))
    wide = [each * count if len(each) == 1 else each for each in (ours, theirs)]
    return len(wide[0]) == len(wide[1]) and all(
        math.isclose(a, b, abs_tol=_TOLERANCE) for a, b in zip(*wide, strict=True)
    )


def _listed(values: Any) -> list[float]:
    return [float(values)] if isinstance(values, (int, float)) else [float(v) for v in values]
