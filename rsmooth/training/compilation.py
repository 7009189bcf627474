"""torch.compile for the training passes, where the machine can."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn


def compiled(base: nn.Module, device: torch.device) -> nn.Module:
    """``base`` through torch.compile; as it is, with a warning that says why, where there is no
    working compiler.

    torch compiles at the first call, which for training would be in the midst of a step; so a
    trifle is tried first.
    """
    try:
        torch.compile(_trifle)(torch.ones(8, device=device))
    except (
        Exception
    ) as error:  # a missing compiler comes as one of a dozen types, of which some are private
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(
            f"compile=True needs a compiler that torch can use, and here it found none "
            f"({type(error).__name__}: {reason}); training goes on without. Install g++ (for a "
            "GPU also "
            "Triton), or leave compile out.",
            stacklevel=2,
        )
        return base
    return torch.compile(base)  # type: ignore[return-value]


def _trifle(x: Tensor) -> Tensor:
    return x + 1
