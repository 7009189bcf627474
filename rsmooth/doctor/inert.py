"""Files that hold objects of foreign classes, read without running any code from them.

torch's restricted unpickler builds tensors and plain values, and stops at everything else. Here
every class or function that it stops at is replaced by an empty class of our own, which keeps what
it is given and does nothing. So the tensors beside such objects can be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

_GLOBAL = re.compile(r"GLOBAL (\S+)")
_LIMIT = 200  # of different classes in one file


class Inert:
    """Stands for an object of a class that was not loaded; ``state`` is what the file says."""

    kind = ""
    state: Any = None

    def __new__(cls, *given: Any, **named: Any) -> Inert:
        made = object.__new__(cls)
        made.state = list(given) or named or None
        return made

    def __init__(self, *given: Any, **named: Any) -> None:
        """Nothing is done with the arguments."""

    def __setstate__(self, state: Any) -> None:
        self.state = state


def load_inert(path: Path, error: BaseException) -> tuple[Any, list[str]]:
    """The content of a file at which ``safe_load`` stopped, and the classes that were replaced.

        content, classes = load_inert(Path("net.pth"), error)     # ["argparse.Namespace"]

    error: of ``torch.load(path, weights_only=True)``. Nothing from the file is run. ValueError
    where it holds what cannot be read even so.
    """
    stubs: dict[str, type[Inert]] = {}
    while True:
        found = _GLOBAL.search(str(error))
        name = found[1].rstrip(".") if found else None
        if name is None or name in stubs or len(stubs) == _LIMIT:
            raise ValueError(str(error)) from error
        stubs[name] = type("Inert", (Inert,), {"kind": name})
        try:
            with torch.serialization.safe_globals([(stub, own) for own, stub in stubs.items()]):
                return torch.load(path, map_location="cpu", weights_only=True), list(stubs)
        except Exception as next_error:  # the unpickler fails in a dozen ways
            error = next_error


def opened_up(value: Any) -> Any:
    """What stands for an object, as plain containers: a module becomes its state dict.

    opened_up(content["model"])
    """
    if not isinstance(value, Inert):
        return value
    state = value.state
    if isinstance(state, Mapping) and {"_parameters", "_buffers", "_modules"} <= set(state):
        return _state_dict(state, "")
    return state


def _state_dict(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The weights of a module by name, as its own ``state_dict()`` would give them."""
    found = {
        prefix + name: tensor
        for part in ("_parameters", "_buffers")
        for name, tensor in state[part].items()
        if isinstance(tensor, torch.Tensor)
    }
    for name, child in state["_modules"].items():
        inner = child.state if isinstance(child, Inert) else None
        if isinstance(inner, Mapping) and "_parameters" in inner:
            found.update(_state_dict(inner, f"{prefix}{name}."))
    return found
