"""Values of any kind in a digest, the same in each process."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def without_addresses(text: str) -> str:
    """Text without addresses of objects, which differ between processes.

    without_addresses("<Net at 0x7f1f>")      # "<Net at >"
    """
    return re.sub(r"0x[0-9a-f]+", "", text)


def update_digest(digest: hashlib._Hash, value: Any) -> None:
    """Add a tensor, an array, a plain value, or a collection of them.

    update_digest(digest, {"scale": 2.0, "shifts": torch.zeros(3)})
    """
    if isinstance(value, Tensor):
        digest.update(f" {value.dtype} {tuple(value.shape)}".encode())
        flat = value.detach().cpu().resolve_conj().resolve_neg().reshape(-1)
        # A single number may have any stride, which bytes may not.
        whole = flat.clone(memory_format=torch.contiguous_format) if flat.stride() != (1,) else flat
        digest.update(whole.view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):  # whose print leaves numbers out
        digest.update(f" {value.dtype} {value.shape}".encode() + value.tobytes())
    elif isinstance(value, Mapping):
        update_digest(digest, list(value.items()))
    elif isinstance(value, (list, tuple)):
        digest.update(f" {len(value)}".encode())
        for each in value:
            update_digest(digest, each)
    else:
        digest.update(f" {without_addresses(repr(value))}".encode())
