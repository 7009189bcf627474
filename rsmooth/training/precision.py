"""Which arithmetic the base classifier's passes use, and whether bfloat16 pays on this machine."""

from __future__ import annotations

import copy
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Precision = Literal["float32", "bfloat16", "auto"]

# Floating-point operations per image; below, casts cost what bfloat16 saves, and timing is noise.
SMALLEST_MODEL = 1e7
# bfloat16 must be this many times faster, else the choice would be a coin toss.
WORTHWHILE = 1.2


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context for a forward pass in "float32" or "bfloat16"."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def resolve_precision(precision: Precision, base: nn.Module, x: Tensor) -> Precision:
    """The precision asked for; "auto" becomes the one in which ``base`` trains faster.

    x: images (B, C, H, W) to time a copy of ``base`` on.

    A GPU is not timed. Its matrix units are made for bfloat16, and a few images do not keep it
    busy.
    """
    if precision != "auto":
        return precision
    trial = copy.deepcopy(base).train()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        trial(x[:2])
    if counter.get_total_flops() < SMALLEST_MODEL * len(x[:2]):
        return "float32"
    if x.is_cuda:
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return (
        "bfloat16"
        if _seconds(trial, x, "float32") > WORTHWHILE * _seconds(trial, x, "bfloat16")
        else "float32"
    )


def _seconds(model: nn.Module, x: Tensor, precision: Precision, rounds: int = 3) -> float:
    """The least time for one forward and backward pass, after one to warm up."""
    times = []
    for _ in range(rounds + 1):
        # Of this process alone, so that other programs do not disturb it.
        start = time.process_time()
        with autocast(precision, x.device):
            output = model(x)
        output.float().square().mean().backward()
        times.append(time.process_time() - start)
    return min(times[1:])
