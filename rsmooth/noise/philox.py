"""Philox4x32-10, the stateless generator of all noise: a block is a function of (key, counter).

Salmon et al. 2011 ("Parallel random numbers: as easy as 1, 2, 3"), section 3.3. The 128-bit counter
is (block within the sample: 32, sample: 32, image: 64), lowest word first. So a word depends only
on what it is drawn for. It does not depend on batch, order, device or thread count. Three
implementations give the same words: NumPy (fast enough on a CPU to be the default there), torch
(any device), and torch compiled.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsmooth.noise.compiled import CompiledOnceWorthIt
from rsmooth.noise.keys import Key, check_counters

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # what a round adds to the two key words
ROUNDS = 10
MASK32 = 0xFFFFFFFF
BLOCK_LIMIT = 2**32  # blocks of one sample: the width of the counter's lowest field
# Blocks per step of NumPy, so that its six work arrays stay in the cache.
_CHUNK = 65_536

U64 = npt.NDArray[np.uint64]


def round_keys(key: Key) -> list[int]:
    """The key words of all rounds: ten for the first lane, then ten for the second."""
    return [
        (word + r * step) & MASK32
        for word, step in zip(key, WEYL, strict=True)
        for r in range(ROUNDS)
    ]


def philox_numpy(c0: U64, c1: U64, c2: U64, c3: U64, key: Key) -> tuple[U64, U64, U64, U64]:
    """Encrypt counters, four uint64 arrays (n,) of 32-bit words; returns four such arrays.

    The counters are overwritten.
    """
    shift, mask = np.uint64(32), np.uint64(MASK32)
    m0, m1 = (np.uint64(m) for m in MULTIPLIERS)
    keys = np.array(round_keys(key), dtype=np.uint64)
    product0, product1 = np.empty_like(c0), np.empty_like(c0)
    for r in range(ROUNDS):
        np.multiply(c0, m0, out=product0)
        np.multiply(c2, m1, out=product1)
        _mix(product1, c1, keys[r], shift, mask, out=c0)
        _mix(product0, c3, keys[ROUNDS + r], shift, mask, out=c2)
        # The low halves of the products. Their upper bits are masked off when they are mixed.
        c1, product1 = product1, c1
        c3, product0 = product0, c3
    np.bitwise_and(c1, mask, out=c1)
    np.bitwise_and(c3, mask, out=c3)
    return c0, c1, c2, c3


def _mix(
    product: U64, lane: U64, key: np.uint64, shift: np.uint64, mask: np.uint64, *, out: U64
) -> None:
    np.right_shift(product, shift, out=out)
    np.bitwise_xor(out, lane, out=out)
    np.bitwise_xor(out, key, out=out)
    np.bitwise_and(out, mask, out=out)


def philox_torch(
    c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, keys: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Encrypt counters, four broadcastable int64 tensors of 32-bit words; returns four such ones.

    keys: ``round_keys`` as int64 (20,) on the same device.

    Products wrap modulo 2^64, which keeps all 64 bits. The sign bits that an arithmetic shift
    brings in are masked off.
    """
    for r in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0 = ((product1 >> 32) ^ c1 ^ keys[r]) & MASK32
        c2 = ((product0 >> 32) ^ c3 ^ keys[ROUNDS + r]) & MASK32
        c1, c3 = product1, product0
    return c0, c1 & MASK32, c2, c3 & MASK32


def pairs_torch(
    image_ids: Tensor, sample_ids: Tensor, keys: Tensor, first: int, blocks: int
) -> Tensor:
    """Blocks first..first+blocks-1 of each sample: int64 (B, blocks, 2), two words per integer.

    image_ids, sample_ids: int64 (B,).
    """
    index = torch.arange(first, first + blocks, device=image_ids.device)[None, :]
    w0, w1, w2, w3 = philox_torch(
        index, sample_ids[:, None], (image_ids & MASK32)[:, None], (image_ids >> 32)[:, None], keys
    )
    return torch.stack([w0 | (w1 << 32), w2 | (w3 << 32)], dim=-1)


def pairs_numpy(image_ids: U64, sample_ids: U64, key: Key, first: int, blocks: int) -> U64:
    """As ``pairs_torch``: ids (B,) -> uint64 (B, blocks, 2)."""
    out = np.empty((len(image_ids), blocks, 2), dtype=np.uint64)
    index = np.arange(first, first + blocks, dtype=np.uint64)
    rows = max(1, _CHUNK // max(1, blocks))
    for start in range(0, len(image_ids), rows):
        part = slice(start, start + rows)
        ids, samples = image_ids[part].repeat(blocks), sample_ids[part].repeat(blocks)
        counters = np.tile(index, len(image_ids[part]))
        pairs_at(counters, samples, ids, key, out=out[part].reshape(-1, 2))
    return out


def pairs_at(blocks: U64, sample_ids: U64, image_ids: U64, key: Key, *, out: U64) -> None:
    """One block for each of n counters in any order: arrays (n,) -> out (n, 2).

    ``blocks`` and ``sample_ids`` are overwritten.
    """
    high = image_ids >> np.uint64(32)
    w0, w1, w2, w3 = philox_numpy(blocks, sample_ids, image_ids & np.uint64(MASK32), high, key)
    for column, (low, upper) in enumerate(((w0, w1), (w2, w3))):
        np.left_shift(upper, np.uint64(32), out=upper)
        np.bitwise_or(upper, low, out=out[:, column])


@lru_cache(maxsize=256)
def device_keys(key: Key, device: torch.device) -> Tensor:
    """``round_keys`` on a device, kept there so that a captured graph finds them in place."""
    return torch.tensor(round_keys(key), dtype=torch.int64, device=device)


# NumPy takes about 17 ns per block, and compiling about 10 s. Compiling begins once the blocks have
# taken that long.
BLOCKS_WORTH_COMPILING = 2**29
# In blocks. NumPy computes fewer before the guards of a compiled call are checked.
SMALLEST_COMPILED_CALL = 2**12
# An estimate of how much faster than NumPy a GPU is without compiling. It runs some 100 kernels,
# each of which moves 24 bytes per block. It decides only when to compile.
GPU_ADVANTAGE = 16
compiled_pairs = CompiledOnceWorthIt(
    pairs_torch, after=BLOCKS_WORTH_COMPILING, least=SMALLEST_COMPILED_CALL
)


def work(blocks: int, device: torch.device) -> int:
    """What this many blocks count towards compiling: less where they are drawn faster."""
    return blocks if device.type == "cpu" else blocks // GPU_ADVANTAGE


def sample_pairs(
    key: Key, image_ids: Tensor, sample_ids: Tensor, first: int, blocks: int
) -> Tensor:
    """Blocks of each sample by the fastest implementation: int64 (B, blocks, 2).

    image_ids, sample_ids: int64 (B,), already checked.

    ValueError for more than 2^32 blocks per sample.
    """
    if first + blocks > BLOCK_LIMIT:
        raise ValueError(
            f"expected at most 2^32 blocks per sample, got {first + blocks}; draw smaller images"
        )
    keys = device_keys(key, image_ids.device)
    pairs = compiled_pairs(
        work(len(image_ids) * blocks, keys.device), image_ids, sample_ids, keys, first, blocks
    )
    if pairs is not None:
        return pairs
    if image_ids.device.type == "cpu":
        return torch.from_numpy(
            pairs_numpy(as_uint64(image_ids), as_uint64(sample_ids), key, first, blocks).view(
                np.int64
            )
        )
    return pairs_torch(image_ids, sample_ids, keys, first, blocks)


def as_uint64(ids: Tensor) -> U64:
    """Non-negative int64 on the CPU, read as uint64 without a copy."""
    return ids.contiguous().numpy().view(np.uint64)


def philox_words(
    key: Key,
    image_ids: Tensor,
    sample_ids: Tensor,
    words_per_sample: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """The first 32-bit words of each sample: int64 (B, words_per_sample) within 0..2^32-1.

        philox_words(derive_key(0, "method", epoch), ids, torch.zeros_like(ids), 4)

    image_ids, sample_ids: int64 (B,), see ``check_counters``.

    Word j of a sample is word j mod 4 of block j div 4.
    """
    check_counters(image_ids, sample_ids)
    if words_per_sample < 0:
        raise ValueError(f"expected words_per_sample >= 0, got {words_per_sample}")
    place = torch.device(device)
    pairs = sample_pairs(
        key, image_ids.to(place), sample_ids.to(place), 0, -(-words_per_sample // 4)
    )
    words = pairs.flatten(1).view(torch.int32)[:, :words_per_sample]
    return words.to(torch.int64) & MASK32
