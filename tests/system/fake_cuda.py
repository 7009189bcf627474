"""A CUDA device that is not there: torch's fake tensors carry its name, but no values.

An operation that mixes devices fails. So does what would wait for the device to read a value back:
``.item()``, ``bool(tensor)``, ``.tolist()``, ``.cpu().numpy()``, ``nonzero``. Torch's backward pass
needs a real device, so it is left out, and gradients are zeros. The device "meta", which has no
values either, shows that pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rsmooth.attacks import l2
from rsmooth.noise import philox

CUDA = torch.device("cuda", 0)
COPIES = (
    torch.ops.aten._to_copy.default,
    torch.ops.aten.copy_.default,
    torch.ops.aten.lift_fresh_copy.default,
)
# What fake tensors raise where a value is asked for, and those of the device "meta".
WAITS = {
    "cuda": (DataDependentOutputException, DynamicOutputShapeException),
    "meta": (RuntimeError,),
}


def available() -> bool:
    """Whether this build of torch knows CUDA, and can imitate it without a driver; 2.6 cannot."""
    try:
        with FakeTensorMode():
            torch.ones(1, device=CUDA).nonzero()
    except WAITS["cuda"]:
        return True
    except (AssertionError, RuntimeError):
        return False
    return False


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """Within this context tensors are fake, and the device has bfloat16."""
    with monkeypatch.context() as patch:
        for name, answer in {
            "is_bf16_supported": True,
            "get_device_name": "fake",
            "synchronize": None,
        }.items():
            patch.setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
        patch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
        patch.setattr(nn.Module, "_apply", _replace_tensors)
        patch.setattr(
            torch.autograd,
            "grad",
            lambda loss, x, *_, **__: tuple(
                map(torch.zeros_like, x if isinstance(x, (list, tuple)) else [x])
            ),
        )
        patch.setattr(torch.autograd, "backward", _zero_gradients)
        caches: list[Any] = [philox.device_keys, l2._plateau_direction]
        for cache in caches:
            cache.cache_clear()
        try:
            with FakeTensorMode(allow_non_fake_inputs=True) as mode:
                mode.cache_enabled = False
                yield mode
        finally:
            for cache in caches:  # fake tensors must not outlive their mode
                cache.cache_clear()


def _replace_tensors(
    module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True
) -> nn.Module:
    """As the method of torch, but with new tensors: fake ones cannot always be changed in place."""
    for part in module.modules() if recurse else (module,):
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(
                    change(parameter.detach()), parameter.requires_grad
                )
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else change(buffer)
    return module


def _zero_gradients(loss: Tensor) -> None:
    """Give every parameter that the loss depends on a gradient."""
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [before for before, _ in node.next_functions]
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            leaf.grad = torch.zeros_like(leaf)


class Transfers(TorchDispatchMode):
    """Notes every copy between the CPU and another device.

    One from ordinary memory makes the host wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        kinds = {
            leaf.device.type
            for leaf in tree_leaves((args, kwargs, result))
            if isinstance(leaf, Tensor)
        }
        if func in COPIES and len(kinds) > 1:
            self.seen.append(str(func))
        return result
