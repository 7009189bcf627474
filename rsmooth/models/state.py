"""The state of a module that others may be using: eval mode for a while, and faithful copies."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from rsmooth.models.rebinding import WEIGHTS, rebind

Module = TypeVar("Module", bound=nn.Module)


class _Flags:
    """Flags that several threads want to be False for a while; the last one restores them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._held: dict[int, tuple[Any, bool, int]] = {}  # owner, its flag before, holders

    def hold(self, owners: Iterable[Any]) -> list[Any]:
        """Note the owners whose flag is True, or was before another holder came."""
        held = []
        for owner in owners:
            known = self._held.get(id(owner), (owner, bool(getattr(owner, self._name)), 0))
            if known[1]:
                self._held[id(owner)] = (owner, True, known[2] + 1)
                held.append(owner)
        return held

    def release(self, held: list[Any]) -> None:
        """One holder less; flags that nobody holds any more are True again."""
        for owner in held:
            _, _, holders = self._held.pop(id(owner))
            if holders > 1:
                self._held[id(owner)] = (owner, True, holders - 1)
            else:
                setattr(owner, self._name, True)


_modes, _gradients = _Flags("training"), _Flags("requires_grad")
_lock = threading.RLock()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """A context in which all parts of a module are in eval mode and ask for no gradient.

        with frozen(g):
            log_probs = g.log_probs(points)

    Afterwards each part has its own mode again, and each parameter its own flag. Where several
    threads are in such contexts of one module, or of modules that share parts, the last one to
    leave restores them.
    """
    with _lock:
        parts = _modes.hold(module.modules())
        # Inference tensors could not be restored, and need no freezing.
        asking = _gradients.hold(p for p in module.parameters() if not p.is_inference())
    try:
        with _lock:
            if parts:
                _to_eval(module)
            for parameter in asking:
                parameter.requires_grad_(False)
        yield
    finally:
        with _lock:
            # Each by itself: train() would set the children too.
            _modes.release(parts)
            _gradients.release(asking)


def _to_eval(module: nn.Module) -> None:
    """Put a module into eval mode; a part of torch.export has one mode, and refuses to be told."""
    try:
        module.eval()
    except NotImplementedError:
        for part in module.modules():
            part.training = False


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's first parameter, or buffer where it has none; the CPU for neither.

    device_of(g)
    """
    tensors = chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def dtype_of(module: nn.Module, otherwise: torch.dtype) -> torch.dtype:
    """The type of the numbers that a module computes with, which its input has to have.

        x = x.to(dtype_of(net, x.dtype))

    It is that of its first floating-point parameter. otherwise: what it is where there is none.
    """
    return next((own.dtype for own in module.parameters() if own.is_floating_point()), otherwise)


def without_inference_tensors(module: Module) -> Module:
    """The module itself; a copy where it has tensors of inference mode, which have no gradients."""
    tensors = [*module.parameters(), *module.buffers()]
    if not any(tensor.is_inference() for tensor in tensors):
        return module
    with torch.inference_mode(False):
        return copied(module)


def copied(module: Module, memo: Mapping[int, Any] | None = None) -> Module:
    """A deep copy, also of a module that keeps activations, locks or open files beside its weights.

        copied(base)

    memo: what certain objects become in the copy, by their id.

    Tensors in the midst of an autograd graph are copied without it. Other things that cannot be
    copied are shared, unless they hold modules. Hooks, and functions that were set on the module,
    call the copy. TypeError, which names them, for what is left, and for parts whose copy is
    themselves: what is done to the copy would be done to the module.
    """
    given = dict(memo or {})
    try:
        return _deepcopied(module, dict(given))
    except _SharedError:
        raise
    # Whatever an object's own way of being copied raises.
    except Exception:
        awkward = _awkward(module, given)
    try:
        return _deepcopied(module, {**given, **awkward})
    except _SharedError:
        raise
    except Exception as error:
        raise TypeError(
            f"expected a base classifier that can be copied, got {type(module).__name__}, of which "
            f"{_culprit(module)} cannot ({type(error).__name__}: {error}); take it away first, or "
            "give its class a __deepcopy__"
        ) from error


class _SharedError(TypeError):
    """A part of a module is a part of its copy."""


def _deepcopied(module: Module, memo: dict[int, Any]) -> Module:
    """The copy; an error where it has a part of the module, as a __deepcopy__ may say."""
    other = copy.deepcopy(module, memo)
    own = {id(part) for part in module.modules()}
    for path, part in other.named_modules():
        if id(part) in own:
            raise _SharedError(
                f"expected a base classifier that can be copied, got {type(module).__name__}, of "
                f"which {path or 'the whole'} ({type(part).__name__}) is shared with its copy; "
                "take away its __deepcopy__"
            )
    rebind(other, memo)
    return other


def _awkward(module: nn.Module, memo: Mapping[int, Any]) -> dict[int, Any]:
    """What the things beside the weights that cannot be copied become in a copy, by their id."""
    found: dict[int, Any] = {}
    for part in module.modules():
        for value in _within(_beside_weights(part), set()):
            if isinstance(value, Tensor) and not value.is_leaf:
                found[id(value)] = value.detach().clone()
            elif not _copies(value, {**memo, **found}) and not _holds_module(value):
                found[id(value)] = value
    return found


def _beside_weights(part: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(part).items() if name not in WEIGHTS}


def _within(value: Any, seen: set[int]) -> Iterator[Any]:
    """The things inside a value and the value itself, inner ones first. Modules are left out."""
    if id(value) in seen or isinstance(value, nn.Module):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        inside: list[Any] = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = list(value)
    else:
        # The object of a bound method, as of a hook, and what an object has noted.
        inside = [getattr(value, "__self__", None), *getattr(value, "__dict__", {}).values()]
    if not isinstance(value, (Tensor, type)):
        for each in inside:
            yield from _within(each, seen)
    yield value


def _holds_module(value: Any) -> bool:
    inside = [getattr(value, "__self__", None), *getattr(value, "__dict__", {}).values()]
    if isinstance(value, Mapping):
        inside += value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside += value
    return any(isinstance(each, nn.Module) for each in inside)


def _copies(value: Any, memo: Mapping[int, Any]) -> bool:
    if _holds_module(value):
        return True  # its module is copied on its own
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:
        return False
    return True


def _culprit(module: nn.Module) -> str:
    for path, part in module.named_modules():
        for name, value in _beside_weights(part).items():
            if not _copies(value, {}):
                return f"its attribute {path + '.' if path else ''}{name}"
    return "some part"
