"""torch.compile for the training passes, where the machine can."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn


def compiled(base: nn.Module, device: torch.device) -> nn.Module:
    """The base through torch.compile; unchanged, with a warning, where no compiler works.

    torch compiles at the first call, which would be in the middle of a training step. So a trifle
    is compiled first.
    """
    try:
        torch.compile(_trifle)(torch.ones(8, device=device))
    # A missing compiler comes as one of a dozen types, of which some are private.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(
            f"compile=True needs a compiler that torch can use, and here it found none "
            f"({type(error).__name__}: {reason}); training goes on without. Install g++ (for a "
            "GPU also Triton), or leave compile out.",
            stacklevel=2,
        )
        return base
    return torch.compile(base)  # type: ignore[return-value]


def _trifle(x: Tensor) -> Tensor:
    return x + 1
