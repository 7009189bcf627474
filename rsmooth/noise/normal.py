"""Standard normal noise for training: the values of ``gaussian``, in float32 and by one kernel.

All steps are sums, products, quotients and a square root, which IEEE 754 rounds correctly, and no
two of them are contracted on a CPU. So eager and compiled code give the same bits there. A run that
switches between the two, or is resumed by the other, draws the same noise. Library functions such
as log and cos promise no last bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rsmooth.noise.compiled import CompiledOnceWorthIt
from rsmooth.noise.continuous import gaussian
from rsmooth.noise.keys import Key, check_counters
from rsmooth.noise.philox import (
    MASK32,
    SMALLEST_COMPILED_CALL,
    device_keys,
    pairs_torch,
    sample_pairs,
)

# Uncompiled it takes about 50 ns per block, and compiling about 12 s.
BLOCKS_WORTH_COMPILING = 2**28
# Pairs of words per step of eager code, so that its work arrays stay in the cache.
_CHUNK = 2**15
# The bits of the float32 next to sqrt(1/2).
_ROOT_HALF = 0x3F3504F3


def standard_normal(
    key: Key,
    image_ids: Tensor,
    sample_ids: Tensor,
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
) -> Tensor:
    """N(0, 1) noise of each (image, sample) pair: float32 (B, *shape).

        0.25 * standard_normal(derive_key(0, "train-noise", epoch), ids, copies, (3, 32, 32))

    image_ids, sample_ids: int64 (B,).
    shape: of one image.

    The values are those of ``gaussian``, which takes float64 on the way, up to an error of 1e-6
    times 1 + the value. On a CPU they are drawn about as fast as by ``torch.randn`` once the kernel
    is compiled, which happens in runs that are long enough to pay for that. Other devices take
    ``gaussian`` itself.
    """
    place, values = torch.device(device), math.prod(shape)
    if place.type != "cpu":  # where products and sums would be contracted, which gives other bits
        return gaussian(key, image_ids, sample_ids, shape, place)
    check_counters(image_ids, sample_ids)
    ids, samples, blocks = image_ids.to(place), sample_ids.to(place), -(-values // 4)
    keys = device_keys(key, place)
    packed = compiled_normals(len(ids) * blocks, ids, samples, keys, 0, blocks)
    if packed is None:
        packed = in_chunks(sample_pairs(key, ids, samples, 0, blocks))
    flat = packed.view(torch.float32).flatten(1)[:, :values]
    return flat.reshape(len(ids), *shape)


def expect_normals(values: int, device: torch.device | str = "cpu") -> None:
    """Announce how many values a training will draw, so that a long one compiles at its start.

    expect_normals(10 * 50_000 * 3 * 32 * 32)
    """
    if torch.device(device).type == "cpu":
        compiled_normals.expect(values // 4)


def normals(ids: Tensor, samples: Tensor, keys: Tensor, first: int, blocks: int) -> Tensor:
    """Blocks first..first+blocks-1 of each sample, as ``pack`` gives them: int64 (B, blocks, 2).

    ids, samples: int64 (B,). keys: ``device_keys``.
    """
    return pack(pairs_torch(ids, samples, keys, first, blocks))


compiled_normals = CompiledOnceWorthIt(
    normals, after=BLOCKS_WORTH_COMPILING, least=SMALLEST_COMPILED_CALL
)


def in_chunks(pairs: Tensor) -> Tensor:
    """``pack`` of int64 (B, blocks, 2), a part at a time."""
    parts = torch.split(pairs.reshape(-1), _CHUNK)
    return torch.cat([pack(part) for part in parts]).view(pairs.shape)


def pack(pairs: Tensor) -> Tensor:
    """Two normal values for each two words: int64, which holds two float32, of the same shape.

    pairs: int64 of any shape, two words per integer.
    """
    near, far = box_muller(pairs & MASK32, (pairs >> 32) & MASK32)
    low, high = (value.view(torch.int32).to(torch.int64) for value in (near, far))
    return low & MASK32 | high << 32


def box_muller(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two normal values from two uniform 32-bit words: int64 tensors -> float32 (Box, Muller 1958).

    As ``Gaussian.from_words``: the length sqrt(-2 log((first + 1) / 2^32)), at the angle
    2 pi second / 2^32.
    """
    # Eager torch may round the square root of a float32 wrongly, but not that of a float64 so far
    # that it would show after rounding to float32.
    length = (-2.0 * log_uniform(first + 1)).double().sqrt().to(torch.float32)
    cosine, sine = cosine_and_sine(second)
    return length * cosine, length * sine


def log_uniform(word: Tensor) -> Tensor:
    """log(word / 2^32) for int64 within 1..2^32: float32."""
    # word = 2^power * m with m within sqrt(1/2)..sqrt(2), and log m = 2 artanh((m - 1) / (m + 1)).
    # The differences are of integers, so that nothing cancels where m is about 1.
    power = ((word.to(torch.float32).view(torch.int32) - _ROOT_HALF) >> 23).to(torch.int64)
    unit = torch.ones_like(word) << power
    ratio = (word - unit).to(torch.float32) / (word + unit).to(torch.float32)
    square = ratio * ratio
    series = 1.0 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square * (1 / 9))))
    return (power - 32).to(torch.float32) * math.log(2.0) + 2.0 * ratio * series


def cosine_and_sine(word: Tensor) -> tuple[Tensor, Tensor]:
    """The cosine and sine of 2 pi word / 2^32, for int64 within 0..2^32-1: float32."""
    # The nearest quarter of a turn, and what is left: an angle within -pi/4..pi/4.
    turned = word + 2**29
    quarter = turned >> 30
    angle = ((turned & (2**30 - 1)) - 2**29).to(torch.float32) * (2.0 * math.pi / 2**32)
    z = angle * angle
    sine = angle * (1.0 - z * (1 / 6 - z * (1 / 120 - z * (1 / 5040 - z * (1 / 362880)))))
    cosine = 1.0 - z * (1 / 2 - z * (1 / 24 - z * (1 / 720 - z * (1 / 40320))))
    # The cosine and sine of those quarters are -1, 0 or 1, so that the sums below are exact.
    odd = (quarter & 1).to(torch.float32)
    sign = (1 - (quarter & 2)).to(torch.float32)
    along, across = (1.0 - odd) * sign, odd * sign
    return cosine * along - sine * across, sine * along + cosine * across
