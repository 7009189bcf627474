"""Continuous draws from the same words: noise in floating point, and uniform integers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rsmooth.noise.distributions import Gaussian, NoiseDistribution
from rsmooth.noise.keys import Key, check_counters
from rsmooth.noise.philox import MASK32, philox_words, sample_pairs


def draw(
    noise: NoiseDistribution,
    key: Key,
    image_ids: Tensor,
    sample_ids: Tensor,
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Continuous noise of each (image, sample) pair: float32 (B, *shape).

        key = derive_key(0, "train-noise", epoch)
        draw(Uniform(0.5), key, ids, copies, (3, 32, 32))

    image_ids, sample_ids: int64 (B,).
    shape: of one image.

    Two 32-bit words make two values, numbered in the row-major order of shape. They are made in
    float64, rounded once to float32, then scaled. Two devices or releases of torch may differ in
    their log or cos. Then a last bit differs, about once in 10^8 values. So the draws are
    deterministic on one device, but not across devices. x + noise in floating point is no exact
    shift: see ``GridSampler`` for certification.
    """
    check_counters(image_ids, sample_ids)
    place, values = torch.device(device), math.prod(shape)
    pairs = sample_pairs(key, image_ids.to(place), sample_ids.to(place), 0, -(-values // 4))
    first, second = noise.from_words(pairs & MASK32, (pairs >> 32) & MASK32)
    drawn = torch.stack([first, second], dim=-1).to(torch.float32)
    flat = drawn.flatten(1)[:, :values]
    return flat.reshape(len(image_ids), *shape).mul_(noise.scale_value)


def gaussian(
    key: Key,
    image_ids: Tensor,
    sample_ids: Tensor,
    shape: tuple[int, ...],
    device: torch.device | str = "cpu",
) -> Tensor:
    """N(0, 1) noise of each (image, sample) pair, float32 (B, *shape), as ``draw`` makes it.

    0.25 * gaussian(derive_key(0, "train-noise", epoch), ids, copies, (3, 32, 32))
    """
    return draw(Gaussian(1.0), key, image_ids, sample_ids, shape, device)


def uniform_integers(key: Key, ids: Tensor, counters: Tensor, bound: int) -> Tensor:
    """One uniform integer in 0..bound-1 per pair: int64 (B,).

        uniform_integers(derive_key(seed, "augment", epoch), ids, torch.zeros_like(ids), 9)

    ids: image ids, int64 (B,).
    counters: int64 (B,) below 2^32, what else separates the draws of an image, such as crop and
        flip.
    bound: 1..2^31. The probabilities are equal up to 2^-33, the bias of scaling 64 random bits.
    """
    if not 1 <= bound <= 2**31:
        raise ValueError(f"expected a bound within 1..2^31, got {bound}")
    low, high = philox_words(key, ids, counters, 2, ids.device).unbind(dim=1)
    # The upper 64 bits of (high, low) * bound, in 64-bit steps.
    return (high * bound + (low * bound >> 32)) >> 32
