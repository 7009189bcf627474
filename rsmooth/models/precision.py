"""Which arithmetic the base classifier's passes use, and whether bfloat16 pays on this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rsmooth.models.operations import counted_operations
from rsmooth.models.state import frozen
from rsmooth.plumbing.machine import computes_bfloat16, remark_on_emulation

Precision = Literal["float32", "bfloat16", "auto"]

# Floating-point operations per image and pass. Below, casts cost most of what bfloat16 saves.
SMALLEST_MODEL = 1e7


def check_precision(precision: str) -> None:
    """ValueError for a precision that passes cannot have."""
    if precision not in get_args(Precision):
        raise ValueError(
            f"expected precision to be one of {', '.join(get_args(Precision))}, got {precision!r}"
        )


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context for a forward pass in "float32" or "bfloat16"."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def resolve_precision(precision: Precision, base: nn.Module, x: Tensor) -> Precision:
    """The precision asked for; "auto" becomes "bfloat16" where the machine is faster with it.

    x: a few images (B, C, H, W) to count the operations of ``base`` on.

    That is where the device has instructions for bfloat16, the weights are float32, and an image
    needs 1e7 operations or more. Nothing is timed: the same model on the same kind of machine
    trains in the same precision. Warns of "bfloat16" where there are no instructions. ValueError
    for "bfloat16" of float64 weights, which no autocast shortens.
    """
    check_precision(precision)
    kinds = {each.dtype for each in base.parameters() if each.is_floating_point()}
    if precision == "bfloat16":
        if torch.float64 in kinds:
            raise ValueError(
                "expected float32 weights for precision='bfloat16', got float64, which would stay "
                "as they are; take g.float(), or another precision"
            )
        remark_on_emulation(x.device)
    if precision != "auto":
        return precision
    if not computes_bfloat16(x.device) or kinds - {torch.float32}:
        return "float32"
    few = x[:2]
    with torch.no_grad(), frozen(base), counted_operations() as operations:
        base(few)
    return "bfloat16" if operations.total >= SMALLEST_MODEL * len(few) else "float32"
