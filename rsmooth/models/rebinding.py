"""Functions that were set on a network, in a copy of it: they call the copy, not the network.

To deepcopy a function is one thing, whatever it refers to. So ``old = net.forward`` and then
``net.forward = lambda x: old(x) / 2`` would have each copy of net answer with the weights and in
the mode of net itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from torch import nn

WEIGHTS = {"_modules", "_parameters", "_buffers"}


def rebind(net: nn.Module, memo: Mapping[int, Any]) -> None:
    """Have the functions beside the weights of a copy refer to the copy.

        rebind(copy.deepcopy(net, memo), memo)

    memo: what deepcopy has made of each object, by its id.

    Methods of the object and hooks are looked at: what they enclose, their defaults, and the
    globals that they name.
    """
    made: dict[int, Any] = {}
    for part in net.modules():
        own = vars(part)
        for name in [name for name in own if name not in WEIGHTS]:
            held = own[name]
            if not isinstance(held, dict):
                own[name] = _bound(held, memo, made)
            elif memo.get(id(held)) is not held:  # of hooks, and not shared with the network
                held.update({key: _bound(each, memo, made) for key, each in held.items()})


def _bound(value: Any, memo: Mapping[int, Any], made: dict[int, Any]) -> Any:
    """What a value is in the copy; the value itself where it refers to nothing of the network."""
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, MethodType):
        function, owner = _bound(value.__func__, memo, made), memo.get(id(value.__self__))
        if function is value.__func__ and owner is None:
            return value
        return MethodType(function, value.__self__ if owner is None else owner)
    if isinstance(value, FunctionType) and _refers(value, memo, set()):
        return made[id(value)] if id(value) in made else _rebound(value, memo, made)
    return value


def _refers(value: Any, memo: Mapping[int, Any], seen: set[int]) -> bool:
    """Whether a value is of the network, or a function that refers to what is."""
    if id(value) in memo:
        return True
    if isinstance(value, MethodType):
        return _refers(value.__self__, memo, seen) or _refers(value.__func__, memo, seen)
    if not isinstance(value, FunctionType) or id(value) in seen:
        return False
    seen.add(id(value))
    return any(_refers(each, memo, seen) for each in _referred(value))


def _referred(function: FunctionType) -> Iterator[Any]:
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from _named(function).values()
    yield from (cell.cell_contents for cell in function.__closure__ or () if _filled(cell))


def _named(function: FunctionType) -> dict[str, Any]:
    """The globals that a function names, without those of other modules' functions."""
    found = {name: function.__globals__.get(name) for name in _names(function.__code__)}
    return {
        name: value
        for name, value in found.items()
        if not isinstance(value, FunctionType) or value.__globals__ is function.__globals__
    }


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):  # of a function within
            yield from _names(inner)


def _rebound(function: FunctionType, memo: Mapping[int, Any], made: dict[int, Any]) -> FunctionType:
    """A function of the same code that refers to the copy."""
    cells = tuple(CellType() for _ in function.__closure__ or ())
    names = dict(function.__globals__)
    twin = FunctionType(function.__code__, names, function.__name__, closure=cells or None)
    made[id(function)] = twin  # before what it refers to, which may be itself
    names.update({name: _bound(value, memo, made) for name, value in _named(function).items()})
    twin.__defaults__ = tuple(_bound(each, memo, made) for each in function.__defaults__ or ())
    named = function.__kwdefaults__ or {}
    twin.__kwdefaults__ = {name: _bound(value, memo, made) for name, value in named.items()}
    twin.__dict__.update(function.__dict__)
    for cell, other in zip(function.__closure__ or (), cells, strict=True):
        if _filled(cell):
            other.cell_contents = _bound(cell.cell_contents, memo, made)
    return twin


def _filled(cell: CellType) -> bool:
    """Whether the name that a function encloses has a value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
