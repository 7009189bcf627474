"""The state dicts in a file: where they lie, what they are, and which one is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rsmooth.doctor.inert import Inert, opened_up
from rsmooth.models.layouts import ENTRIES, constants_among, is_constant
from rsmooth.models.normalize import Normalization
from rsmooth.models.recognise import Network, networks

_DEPTH = 4
_AVERAGES = ("ema", "swa", "avg", "average", "teacher", "averaged", "shadow")
WRAPPERS = ("module", "_orig_mod")


@dataclass(frozen=True)
class Entry:
    """One network in a file.

    place: where it lies: keys and positions from the outside in, and the prefix of names if there
        are several in one state dict. names: as the file has them. weights: without wrappers.
    network: the one of ours that it is; None where it is none that shapes tell.
    rest: what stands beside it in the same state dict.
    """

    place: str
    names: tuple[str, ...]
    weights: dict[str, Tensor]
    network: Network | None
    rest: dict[str, Tensor]

    @property
    def inner(self) -> dict[str, Tensor]:
        """The weights by the names of the network, without its prefix."""
        prefix = self.network.prefix if self.network else ""
        return {
            name[len(prefix) :]: tensor
            for name, tensor in self.weights.items()
            if name.startswith(prefix) and name not in self.rest
        }

    @property
    def average(self) -> bool:
        """Whether it is called as averaged copies and teachers are."""
        words = self.place.lower().replace(".", "_").split("_")
        return any(word in _AVERAGES for word in words)

    def constants(self) -> Normalization:
        """The normalisation that stands beside the network; None without one."""
        return constants_among(self.rest, "the file")


def entries(content: Any, image: tuple[int, ...] | None = None) -> list[Entry]:
    """The networks in the content of a file, the one that is meant first.

        entries(torch.load("net.pth", weights_only=True))[0].network

    image: (C, H, W) of the images at hand, where shapes allow several networks.
    """
    found = [
        entry for place, state in _state_dicts(content, ()) for entry in _of(place, state, image)
    ]
    return sorted(found, key=_rank)


def optimizers(content: Any) -> list[str]:
    """The places of optimiser states in the content of a file."""
    inside = opened_up(content)
    if not isinstance(inside, Mapping):
        return []
    if "param_groups" in inside and "state" in inside:
        return ["the whole file"]
    return [
        str(name)
        for name, value in inside.items()
        if isinstance(value, (Mapping, list)) and "optim" in str(name).lower()
    ]


def unwrapped(name: str) -> str:
    """A name without the parts that DataParallel and torch.compile add."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _rank(entry: Entry) -> tuple[bool, bool, int]:
    """Networks that we know before others, and plain ones before averaged ones."""
    first = entry.place.split(".")[0]
    usual = ENTRIES.index(first) if first in ENTRIES else len(ENTRIES)
    return entry.network is None, entry.average, usual


def _state_dicts(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Mappings of names to tensors, at any depth; those of optimisers are left out."""
    inside = opened_up(value)
    if len(place) > _DEPTH or (place and "optim" in place[-1].lower()):
        return
    if isinstance(inside, Mapping):
        if "param_groups" in inside:
            return
        tensors = {str(name): each for name, each in inside.items() if isinstance(each, Tensor)}
        if any(each.ndim > 1 for each in tensors.values()) and 2 * len(tensors) > len(inside):
            yield ".".join(place), tensors
            return
        pairs = [(str(name), each) for name, each in inside.items()]
    elif isinstance(inside, (list, tuple)):
        pairs = [(str(at), each) for at, each in enumerate(inside)]
    else:
        return
    for name, each in pairs:
        if isinstance(each, (Mapping, list, tuple, Inert)):
            yield from _state_dicts(each, (*place, name))


def _of(place: str, state: dict[str, Tensor], image: tuple[int, ...] | None) -> Iterator[Entry]:
    """The networks of one state dict; one of an unknown kind where none is of ours."""
    weights = {unwrapped(name): each for name, each in state.items() if name != "n_averaged"}
    names = tuple(state)
    constant = {name for name in weights if is_constant(name) and weights[name].numel() in (1, 3)}
    bare = {name: each for name, each in weights.items() if name not in constant}
    known = networks(bare, image=image)
    if not known:
        rest = {name: weights[name] for name in constant}
        yield Entry(place, names, weights, None, rest)
    for network in known:
        where = place
        if len(known) > 1:
            where = ".".join(part for part in (place, network.prefix.rstrip(".")) if part)
        others = tuple(each.prefix for each in known if each is not network)
        rest = {
            name: each
            for name, each in weights.items()
            if (name in constant or not name.startswith(network.prefix))
            and not (others and name.startswith(others))
        }
        own = {
            name: each for name, each in weights.items() if not (others and name.startswith(others))
        }
        yield Entry(where, names, own, network, rest)
