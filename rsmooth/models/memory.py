"""How the weights of a network lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def channels_last(module: Module) -> Module:
    """The module with its kernels laid out channels last, in place.

        net = channels_last(net)

    Tensors of other than four dimensions stay as they are. Torch's own ``module.to`` refuses those
    of five, such as the kernels of a convolution over a group of rotations.
    """

    def laid_out(tensor: Tensor) -> Tensor:
        return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    found: Module = module._apply(laid_out)  # type: ignore[no-untyped-call]
    return found


def contiguous(module: Module, chosen: Callable[[Tensor], bool]) -> Module:
    """The module with some of its tensors as plain rows again, in place.

        net = contiguous(channels_last(net), lambda tensor: True)

    chosen: which of its parameters and buffers; the others stay as they are.
    """
    found: Module = module._apply(  # type: ignore[no-untyped-call]
        lambda tensor: tensor.contiguous() if chosen(tensor) else tensor
    )
    return found
