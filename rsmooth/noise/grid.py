"""The exact noise on the grid of 8-bit pixels: k = round(255 e) for noise e, as integers.

With x on the grid of 1/255, round(255 (x + e)) = 255 x + round(255 e). The classifier sees a
function of this integer sum alone. So the certificate of continuous noise holds for it. It does not
hold for x + e in floating point (Voracek and Hein 2023, "Sound randomized smoothing in
floating-point arithmetic").

A uniform 64-bit word decides one value: k = (number of thresholds <= word) + lowest. Its 16 leading
bits decide alone, except in a bucket that contains a threshold (0.4 % of all words at sigma 0.12,
2.6 % at 1). So eight of them are drawn per Philox block and looked up in a table. The 48 trailing
bits come from blocks of their own, which are evaluated only where they are needed:

    leading bits of value v: half v mod 8 (low halves first) of block v div 8
    trailing bits:           upper 48 bits of word pair v mod 2 of block 2^31 + v div 2
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rsmooth.noise.compiled import CompiledOnceWorthIt
from rsmooth.noise.distributions import NoiseDistribution, as_noise
from rsmooth.noise.keys import PROTOCOL, Key, check_counters
from rsmooth.noise.philox import (
    BLOCKS_WORTH_COMPILING,
    SMALLEST_COMPILED_CALL,
    U64,
    as_uint64,
    compiled_pairs,
    device_keys,
    pairs_at,
    pairs_torch,
    philox_torch,
    sample_pairs,
    work,
)
from rsmooth.noise.thresholds import Thresholds

# The first block of the trailing bits.
TRAILING = 2**31
# Values per sample: two per trailing block, of which there are 2^31.
LARGEST_SHAPE = 2**32
# In the table: the leading bits do not decide. No noise value is that small.
UNDECIDED = -(2**15)
# Turns an unsigned word into a signed one of the same order.
SIGN = -(2**63)


class GridSampler:
    """Rounded noise k = round(255 e), exactly: the same integers on every device and in any batch.

        sampler = GridSampler(Gaussian(0.25))
        sampler.sample(derive_key(0, "estimate"), ids, samples, (3, 32, 32))  # int16 (B, 3, 32, 32)

    noise: the distribution of e; a number is the sigma of Gaussian noise. Its scale is the decimal
        that it prints as. ValueError unless it is finite and > 0, and 16 bits hold the noise.
    fingerprint: a hash of the thresholds.
    tag: what a record has to hold beside seed and purpose.
    """

    def __init__(self, noise: NoiseDistribution | float | str) -> None:
        self.noise = as_noise(noise)
        self._thresholds = self.noise.thresholds()
        self.fingerprint = self._thresholds.fingerprint()
        kind = "" if self.noise.name == "gaussian" else f"{self.noise.name} "  # tags of old records
        self.tag = (
            f"grid-1/255 {kind}{self.noise.scale_name}={self.noise.decimal:f} philox4x32-10 "
            f"protocol={PROTOCOL} thresholds={self.fingerprint}"
        )
        self._table = guide_table(self._thresholds)
        self._open_share = float((self._table == UNDECIDED).mean())
        self._placed: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __repr__(self) -> str:
        return f"GridSampler({self.noise!r})"

    def total_variation(self, d: int) -> float:
        """As ``NoiseDistribution.total_variation``; it takes the words of Philox as uniform."""
        return self.noise.total_variation(d)

    def sample(
        self,
        key: Key,
        image_ids: Tensor,
        sample_ids: Tensor,
        shape: tuple[int, ...],
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Noise of each (image, sample) pair: int16 (B, *shape) in steps of 1/255.

        key: from ``derive_key``.
        image_ids, sample_ids: int64 (B,).
        shape: of one image, (C, H, W). Values are numbered in its row-major order.

        ValueError if an id does not fit its counter field (see ``check_counters``), or if shape
        holds over 2^32 values.
        """
        check_counters(image_ids, sample_ids)
        values = math.prod(shape)
        if values > LARGEST_SHAPE:
            raise ValueError(
                f"expected at most 2^32 values per image, got {values} in shape {shape}"
            )
        place = torch.device(device)
        ids, samples = image_ids.to(place), sample_ids.to(place)
        if place.type == "cpu":
            noise = torch.from_numpy(self._on_cpu(key, ids, samples, values))
        else:
            noise = self._on_device(key, ids, samples, values)
        return noise.view(len(ids), *shape)

    def _on_cpu(self, key: Key, ids: Tensor, samples: Tensor, values: int) -> npt.NDArray[np.int16]:
        blocks = -(-values // 8)
        leading = sample_pairs(key, ids, samples, 0, blocks).numpy().view(np.uint16)
        leading = leading.reshape(len(ids), 8 * blocks)[:, :values]
        noise = self._table.take(leading)
        flat = noise.reshape(-1)
        open_ = np.flatnonzero(flat == UNDECIDED)
        rows, columns = np.divmod(open_.astype(np.uint64), np.uint64(max(1, values)))
        pairs = np.empty((len(open_), 2), dtype=np.uint64)
        pairs_at(
            columns // np.uint64(2) + np.uint64(TRAILING),
            as_uint64(samples)[rows],
            as_uint64(ids)[rows],
            key,
            out=pairs,
        )
        trailing = np.where(columns % np.uint64(2) == 0, pairs[:, 0], pairs[:, 1]) >> np.uint64(16)
        words = leading[rows, columns].astype(np.uint64) << np.uint64(48) | trailing
        flat[open_] = decide(self._thresholds, words)
        return noise

    def _on_device(self, key: Key, ids: Tensor, samples: Tensor, values: int) -> Tensor:
        if ids.device not in self._placed:  # kept, so that a captured graph finds them in place
            cuts = torch.from_numpy(self._thresholds.values.view(np.int64)) ^ SIGN
            self._placed[ids.device] = (
                cuts.to(ids.device),
                torch.from_numpy(self._table).to(ids.device),
            )
        cuts, table = self._placed[ids.device]
        keys, lowest = device_keys(key, ids.device), self._thresholds.lowest
        noise = compiled_dense(
            work(len(ids) * values // 8, ids.device), ids, samples, keys, cuts, lowest, values
        )
        if noise is None:
            room = at_most(len(ids) * values, self._open_share)
            noise = lazy(ids, samples, keys, cuts, table, lowest, values, room)
        return noise


def decide(limits: Thresholds, words: U64) -> npt.NDArray[np.int16]:
    """The k of each uniform 64-bit word, by binary search: the definition, without a table."""
    return (np.searchsorted(limits.values, words, side="right") + limits.lowest).astype(np.int16)


def guide_table(limits: Thresholds) -> npt.NDArray[np.int16]:
    """The k of every 16 leading bits, int16 (65536,); UNDECIDED where the trailing bits matter."""
    first = np.arange(2**16, dtype=np.uint64) << np.uint64(48)
    low, high = decide(limits, first), decide(limits, first + np.uint64(2**48 - 1))
    return np.where(low == high, low, np.int16(UNDECIDED))


def at_most(values: int, share: float) -> int:
    """An upper bound on the undecided words among ``values``, where each is one with ``share``.

    share: the probability that a word is undecided.

    It is exceeded once in e^70 batches. Bernstein's inequality bounds the probability of an excess
    t over the mean by exp(-t^2 / (2 mean + 2 t / 3)).
    """
    mean = values * share
    return min(values, math.ceil(mean + 12 * math.sqrt(mean) + 64))


def lazy(
    ids: Tensor,
    samples: Tensor,
    keys: Tensor,
    cuts: Tensor,
    table: Tensor,
    lowest: int,
    values: int,
    room: int,
) -> Tensor:
    """The sampler in torch, with trailing bits only where they are needed: int16 (B, values).

    room: undecided values that there is room for. More of them fail an assertion on the device.

    It never waits for the device.
    """
    leading = _leading(ids, samples, keys, values)
    noise = table[leading]
    undecided = (noise == UNDECIDED).flatten()
    torch._assert_async(
        undecided.sum() <= room, "expected fewer undecided words; the noise is not uniform"
    )
    # Position 0 fills the room that is left. Its value is the same either way.
    places = _first_true(undecided, room)
    rows, columns = places // max(1, values), places % max(1, values)
    trailing = _trailing(ids[rows], samples[rows], keys, columns)
    words = (leading[rows, columns] << 48 | trailing) ^ SIGN
    noise[rows, columns] = (torch.searchsorted(cuts, words, right=True) + lowest).to(torch.int16)
    return noise


def _first_true(mask: Tensor, room: int) -> Tensor:
    """The positions of the first ``room`` true entries of (N,), filled up with 0: int64 (room,)."""
    try:
        return torch.nonzero_static(mask, size=room, fill_value=0).flatten()
    except NotImplementedError:
        # On GPUs in earlier releases of torch. There the host has to wait for the number.
        return torch.nonzero(mask).flatten()[:room]


def dense(
    ids: Tensor, samples: Tensor, keys: Tensor, cuts: Tensor, lowest: int, values: int
) -> Tensor:
    """The sampler in torch, with all bits of all values: int16 (B, values).

    Meant to be compiled. It never waits for the device.
    """
    columns = torch.arange(values, device=ids.device)[None, :]
    trailing = _trailing(ids[:, None], samples[:, None], keys, columns)
    words = (_leading(ids, samples, keys, values) << 48 | trailing) ^ SIGN
    return (torch.bucketize(words, cuts, right=True) + lowest).to(torch.int16)


compiled_dense = CompiledOnceWorthIt(
    dense, after=BLOCKS_WORTH_COMPILING, least=SMALLEST_COMPILED_CALL
)


def expect_noise(values: int, device: torch.device | str = "cpu") -> None:
    """Announce how many grid values a run will draw, so that a long one compiles at its start.

        expect_noise(100_000 * 3 * 32 * 32, "cuda")

    Without it, compiling (about 10 s) begins once as much time has gone into drawing. The noise is
    the same.
    """
    for kernel in (compiled_pairs, compiled_dense):
        kernel.expect(work(values // 8, torch.device(device)))


def compilation_status() -> dict[str, str]:
    """Which kernels run compiled in this process, and why not, for the record.

        compilation_status()      # {"philox": "compiled", "grid": "uncompiled: too little ..."}

    It has no effect on the noise.
    """
    return {"philox": compiled_pairs.status, "grid": compiled_dense.status}


def _leading(ids: Tensor, samples: Tensor, keys: Tensor, values: int) -> Tensor:
    pairs = pairs_torch(ids, samples, keys, 0, -(-values // 8))
    halves = torch.stack([(pairs >> shift) & 0xFFFF for shift in (0, 16, 32, 48)], dim=-1)
    return halves.flatten(1)[:, :values]


def _trailing(ids: Tensor, samples: Tensor, keys: Tensor, columns: Tensor) -> Tensor:
    blocks = columns // 2 + TRAILING
    w0, w1, w2, w3 = philox_torch(blocks, samples, ids & 0xFFFFFFFF, ids >> 32, keys)
    even = columns % 2 == 0
    return torch.where(even, w1, w3) << 16 | torch.where(even, w0, w2) >> 16


def add_grid_noise(images: Tensor, noise: Tensor) -> Tensor:
    """(images + noise) / 255 as float32: added in integers, then converted once.

        add_grid_noise(images, sampler.sample(key, ids, samples, (3, 32, 32)))

    images: uint8 (B, C, H, W), or any shape that broadcasts to that of the noise.
    noise: int16, from ``GridSampler.sample``.

    The result has the shape of the noise, is never clamped, and depends on the sums alone.
    ValueError for other types. Pixels between the 8-bit levels need arithmetic="float", whose
    certificates hold only up to floating-point rounding.
    """
    if images.dtype != torch.uint8 or noise.dtype != torch.int16:
        raise ValueError(
            f"expected uint8 images and int16 noise, got {images.dtype} and {noise.dtype}; "
            'images off the 8-bit grid need arithmetic="float"'
        )
    try:
        images = images.expand_as(noise)
    except RuntimeError:
        raise ValueError(
            f"expected images that broadcast to the noise's {tuple(noise.shape)}, "
            f"got {tuple(images.shape)}"
        ) from None
    # A divisor on the device. CUDA would multiply by the reciprocal of a plain number, which rounds
    # differently.
    return (images + noise).to(torch.float32).div_(torch.full((), 255.0, device=noise.device))
