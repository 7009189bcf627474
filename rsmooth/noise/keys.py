"""Keys of noise streams and counters of blocks, so that no two draws share a word."""

from __future__ import annotations

import hashlib
import sys

import torch
from torch import Tensor

from rsmooth.plumbing.numbers import check_integer

PROTOCOL = 1
"""Version of the noise: raised whenever a seed would give other values, and part of every key."""

PURPOSES = (
    "select",
    "estimate",
    "predict",
    "train-noise",
    "sample-weights",
    "augment",
    "method",
    "calibrate",
)

Key = tuple[int, int]

if sys.byteorder != "little":  # words are split into 16-bit halves by reinterpreting memory
    raise ImportError(
        "expected a little-endian machine; the noise would silently differ on this one"
    )


def derive_key(seed: int, purpose: str, *context: int) -> Key:
    """The two 32-bit words of a Philox key: 8 bytes of SHA-256(seed, purpose, protocol, context).

        derive_key(0, "train-noise", epoch)

    purpose: one of PURPOSES. Streams of two purposes share nothing.
    context: integers >= 0 that separate streams of one purpose, such as the epoch.

    ValueError for a seed or context that is no integer, for another purpose, and for a negative
    context.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"expected a purpose among {', '.join(PURPOSES)}, got {purpose!r}")
    numbers = [check_integer(value, "context") for value in context]
    if any(value < 0 for value in numbers):
        raise ValueError(f"expected non-negative context integers, got {context}")
    fields = [str(check_integer(seed, "seed")), purpose, str(PROTOCOL), *map(str, numbers)]
    digest = hashlib.sha256("|".join(fields).encode("ascii")).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def check_counters(image_ids: Tensor, sample_ids: Tensor) -> None:
    """Image ids must be int64 (B,) >= 0, and sample ids int64 (B,) within 0..2^32-1.

        check_counters(torch.tensor([3, 3]), torch.tensor([0, 1]))

    ValueError otherwise: a counter that does not fit its field would repeat the noise of another
    image or sample. On a GPU the values are checked there, without waiting. One that is out of
    range ends the process' work on that GPU with a device-side assertion. So the certifier checks
    them before, on the host.
    """
    for name, ids in (("image_ids", image_ids), ("sample_ids", sample_ids)):
        if ids.dtype != torch.int64 or ids.ndim != 1:
            raise ValueError(f"expected {name} as int64 (B,), got {ids.dtype} {tuple(ids.shape)}")
    if image_ids.shape != sample_ids.shape:
        raise ValueError(
            f"expected as many sample_ids as image_ids ({len(image_ids)}), got {len(sample_ids)}; "
            "give one pair for each row of the noise"
        )
    if image_ids.device != sample_ids.device:
        raise ValueError(
            f"expected image_ids and sample_ids on one device, got {image_ids.device} and "
            f"{sample_ids.device}"
        )
    fit = ((image_ids >= 0) & (sample_ids >= 0) & (sample_ids < 2**32)).all()
    if fit.device.type != "cpu":
        torch._assert_async(fit, "expected image_ids >= 0 and sample_ids within 0..2^32-1")
    elif not bool(fit):
        raise ValueError(
            "expected image_ids >= 0 and sample_ids within 0..2^32-1, got image_ids from "
            f"{int(image_ids.min())} and sample_ids from {int(sample_ids.min())} to "
            f"{int(sample_ids.max())}"
        )
