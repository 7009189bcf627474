"""What the code of a layer reads, sets and fills, by the names in it."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from types import CodeType, FunctionType
from typing import Any

from torch import nn

FILLING = {"append", "add", "update", "extend", "insert", "setdefault", "pop", "clear", "remove"}
FILLING |= {"appendleft", "popitem", "fill"}
# Where code sets attributes by these, it names them as texts.
SETTING = {"setattr", "delattr", "__setattr__", "__delattr__", "__dict__", "vars"}
SETTING |= {"register_buffer", "register_parameter"}
MOVING = {"to", "cpu", "cuda", "type_as"}  # self.mean = self.mean.to(x.device) sets nothing else
CALLED = ("forward", "__call__")
SWITCHING = ("train", "eval")  # what these set follows from the mode


@dataclass
class Uses:
    """The attributes that code has to do with, by name.

        uses_of(net).read

    read: what it reads. assigned: what it sets on the layer. elsewhere: what it may set on others.
    fills: whether it fills collections. stores: whether it stores items, as into a tensor.
    """

    read: set[str] = field(default_factory=set)
    assigned: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    fills: bool = False
    stores: bool = False

    def take(self, other: Uses, *, own: bool) -> None:
        """Add what other code sets and fills. own: whether it is of the layer's class."""
        self.assigned |= other.assigned
        self.elsewhere |= other.elsewhere if own else other.assigned | other.elsewhere
        self.fills |= other.fills
        self.stores |= other.stores


def uses_of(part: nn.Module) -> Uses:
    """What the code of a layer reads, sets and fills.

        uses_of(net).assigned

    It is that of ``forward`` and of what it calls: methods of each class that has one of the name,
    since a class may call that of the class below, and functions of the same package. Of hooks and
    of ``train`` and ``eval`` only what they set and fill counts. Code of torch and of rsmooth is
    left out.
    """
    uses = Uses()
    called: list[FunctionType] = []
    asked = [*CALLED]
    while asked:
        found = [*_functions(part, asked.pop())]
        for function in found:
            known = _uses_of_code(function.__code__)
            asked += known.read - uses.read
            uses.read |= known.read
            uses.take(known, own=True)
        called += found
    for function in (each for name in SWITCHING for each in _functions(part, name)):
        uses.take(_uses_of_code(function.__code__), own=True)
    hooks = [*part._forward_pre_hooks.values(), *part._forward_hooks.values()]
    outside = [each for hook in hooks for each in _functions_of_hook(hook)]
    for function in (*outside, *_called_by(outside)):
        uses.take(_uses_of_code(function.__code__), own=False)
    for function in _called_by(called):
        uses.read |= _uses_of_code(function.__code__).read
        uses.take(_uses_of_code(function.__code__), own=False)
    uses.assigned |= {name for hook in hooks for name in _set_by_torch(hook)}
    uses.assigned |= _kept_once(type(part))
    return uses


@lru_cache(maxsize=8192)
def _uses_of_code(code: CodeType) -> Uses:
    """Of one function, and of those in it; its first argument is taken for the layer."""
    uses = Uses(read=set(code.co_names))
    me = {"self", *code.co_varnames[: min(code.co_argcount, 1)]}
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    for at, (step, name) in enumerate(steps):
        if step in ("STORE_ATTR", "DELETE_ATTR"):
            if _is_move(steps[:at], name):
                continue
            (uses.assigned if _owner(steps[:at]) in me else uses.elsewhere).add(name)
        elif at and steps[at - 1][0] == "LOAD_ATTR" and _in_place(name):
            uses.assigned.add(steps[at - 1][1])  # as self.calls.add_(1)
    if SETTING & uses.read:
        uses.elsewhere |= set(_texts(code.co_consts))
        uses.assigned |= uses.elsewhere
    uses.stores = any(step == "STORE_SUBSCR" for step, _ in steps)
    uses.fills = uses.stores or bool(FILLING & uses.read)
    for inner in (each for each in code.co_consts if isinstance(each, CodeType)):
        uses.read |= _uses_of_code(inner).read
        uses.take(_uses_of_code(inner), own=True)
    return uses


def _owner(steps: list[tuple[str, Any]]) -> Any:
    """The name of whose attribute is set after these steps; anything else where it has none."""
    if steps[-1][0] in ("SWAP", "ROT_TWO"):  # as self.calls += 1, whose owner is copied before
        steps = steps[: max(at for at, step in enumerate(steps) if step[0] in ("COPY", "DUP_TOP"))]
    name = steps[-1][1]
    return name[-1] if isinstance(name, tuple) else name  # two names in one step


def _is_move(steps: list[tuple[str, Any]], name: object) -> bool:
    """Whether what is stored after these steps is the attribute itself, on another device."""
    ends = [at for at, step in enumerate(steps) if step[0].startswith(("STORE_", "POP_", "RESUME"))]
    statement = steps[ends[-1] + 1 :] if ends else steps
    # The load of the layer may be one step with the end before it.
    if len(statement) < 4 or ("LOAD_ATTR", name) not in statement[:2]:
        return False
    method = statement[statement.index(("LOAD_ATTR", name)) + 1][1]
    return method in MOVING and statement[-2][0].startswith("CALL")


def _in_place(name: object) -> bool:
    """Whether a method changes what it is called on: x.add_(1), x.append(1)."""
    if not isinstance(name, str) or name.startswith("_"):
        return False
    return name.endswith("_") or name in FILLING


def _texts(constants: tuple[Any, ...]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):
            yield from _texts(constant)


def _called_by(functions: Iterable[FunctionType]) -> Iterator[FunctionType]:
    """The functions of the same packages that these call by name, and that those call."""
    asked, seen = list(functions), set[FunctionType]()
    while asked:
        function = asked.pop()
        for name in _uses_of_code(function.__code__).read:
            found = inspect.unwrap(function.__globals__.get(name, str))
            for each in _functions_of(found) if inspect.isfunction(found) else ():
                if each not in seen and _package(each) == _package(function):
                    seen.add(each)
                    asked.append(each)
                    yield each


def _functions_of_hook(hook: Any) -> Iterator[FunctionType]:
    plain = hook.func if isinstance(hook, partial) else hook
    member = (
        plain if inspect.isroutine(plain) else inspect.getattr_static(type(plain), "__call__", None)
    )
    return (each for each in _functions_of(member) if not _is_known(each.__module__))


def _set_by_torch(hook: Any) -> Iterator[str]:
    """The weight that a hook of torch computes before each pass: weight_norm, pruning."""
    for name in ("name", "_tensor_name"):
        if isinstance(found := getattr(hook, name, None), str):
            yield found


def _kept_once(kind: type) -> set[str]:
    """The attributes that a class computes once and then keeps on the object."""
    owners = (owner for owner in kind.__mro__ if not _is_known(owner.__module__))
    members = (each for owner in owners for each in vars(owner).items())
    return {name for name, member in members if isinstance(member, cached_property)}


def _functions(part: nn.Module, name: str) -> Iterator[FunctionType]:
    """What a layer has under a name: in each of its classes, and by itself."""
    for owner in type(part).__mro__:
        if name in vars(owner) and not _is_known(owner.__module__):
            yield from _functions_of(vars(owner)[name])
    yield from _functions_of(vars(part).get(name))


def _functions_of(member: Any) -> Iterator[FunctionType]:
    """The functions of Python in a method, a property, or whatever wraps one."""
    if isinstance(member, property):
        sides = [member.fget, member.fset, member.fdel]
    elif isinstance(member, cached_property):
        sides = [member.func]
    else:
        sides = [getattr(member, "__func__", member)]
    for side in filter(callable, sides):
        plain = inspect.unwrap(side)
        plain = getattr(plain, "__func__", plain)
        if isinstance(plain, FunctionType):
            yield plain


def _package(function: FunctionType) -> str:
    return (function.__module__ or "").split(".")[0]


def _is_known(module: str | None) -> bool:
    """Whether code is of torch or of rsmooth, whose layers print their options or are listed."""
    return (module or "").split(".")[0] in ("torch", "rsmooth", "builtins")
