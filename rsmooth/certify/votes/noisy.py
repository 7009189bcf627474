"""Noisy images: what the base classifier is asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from rsmooth.certify.settings import Noise
from rsmooth.noise.continuous import gaussian
from rsmooth.noise.grid import GridSampler, add_grid_noise
from rsmooth.noise.keys import derive_key
from rsmooth.plumbing.numbers import check_sigma


class NoisyImages(ABC):
    """Images plus noise that belongs to (seed, purpose, image id, sample id).

    On another device the grid's noise is the same, continuous noise but for a last bit now and
    then.

    total_variation: how far the noise over a whole image may be from the Gaussian that the
    certificates assume.
    """

    total_variation: float = 0.0

    def __init__(self, sigma: float, seed: int) -> None:
        self.sigma = check_sigma(sigma)
        self.seed = seed

    @abstractmethod
    def points(self, purpose: str, images: Tensor, ids: Tensor, samples: Tensor) -> Tensor:
        """Noisy copies, float32 in pixel units, never clamped: images (B, C, H, W) as stored, ids
        and samples (B,).
        """

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What a record says of the noise."""


class GridImages(NoisyImages):
    """8-bit images with the Gaussian rounded to the 1/255 grid, added in integers and converted
    once.

    The base classifier sees nothing but the integer sum, so the certificates are those of the exact
    Gaussian for F(z) = f(round(255 z) / 255), whatever the floating-point arithmetic does after it.
    """

    def __init__(self, sigma: float, seed: int, shape: torch.Size) -> None:
        super().__init__(sigma, seed)
        self.sampler = GridSampler(sigma)
        self.total_variation = self.sampler.total_variation(shape.numel())

    def points(self, purpose: str, images: Tensor, ids: Tensor, samples: Tensor) -> Tensor:
        noise = self.sampler.sample(
            derive_key(self.seed, purpose), ids, samples, tuple(images.shape[1:]), images.device
        )
        return add_grid_noise(images, noise)

    def record(self) -> dict[str, Any]:
        return {
            "kind": "grid",
            "sampler": self.sampler.tag,
            "total_variation": self.total_variation,
        }


class FloatImages(NoisyImages):
    """Images in [0, 1] plus float32 Gaussian noise, as the published code draws it; not sound in
    floating point.

    The rounding of x + noise depends on x, so a base classifier can tell images apart by it
    (Voracek and Hein 2023).
    """

    def points(self, purpose: str, images: Tensor, ids: Tensor, samples: Tensor) -> Tensor:
        noise = gaussian(
            derive_key(self.seed, purpose), ids, samples, tuple(images.shape[1:]), images.device
        )
        return noise.mul_(self.sigma).add_(images)

    def record(self) -> dict[str, Any]:
        return {"kind": "float", "sound in floating point": False}


def noisy_images(kind: Noise, sigma: float, seed: int, shape: torch.Size) -> NoisyImages:
    """The noise called ``kind`` for images of one shape (C, H, W)."""
    return GridImages(sigma, seed, shape) if kind == "grid" else FloatImages(sigma, seed)
