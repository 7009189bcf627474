"""Noisy images: what the base classifier is asked about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from rsmooth.certify.proof.bounds import Noise, check_noise
from rsmooth.certify.settings import Arithmetic
from rsmooth.noise.continuous import draw
from rsmooth.noise.distributions import as_noise
from rsmooth.noise.grid import GridSampler, add_grid_noise
from rsmooth.noise.keys import derive_key


class NoisyImages(ABC):
    """Images plus noise that belongs to (seed, purpose, image id, sample id).

        noisy_images("integer", Gaussian(0.25), seed=0, shape=torch.Size((3, 32, 32)))

    noise: the distribution, of a scale above 0; a number is the sigma of Gaussian noise.
    total_variation: how far the noise over a whole image may be from the distribution that the
        certificates assume.

    Integer noise is the same on every device. Continuous noise may differ in a last bit now and
    then.
    """

    arithmetic: Arithmetic
    total_variation: float = 0.0

    def __init__(self, noise: Noise, seed: int) -> None:
        self.noise = check_noise(noise)
        self.seed = seed

    @abstractmethod
    def points(self, purpose: str, images: Tensor, ids: Tensor, samples: Tensor) -> Tensor:
        """Noisy copies, float32 in pixel units, never clamped.

        images: (B, C, H, W) as stored.
        ids, samples: int64 (B,).
        """

    def record(self) -> dict[str, Any]:
        """What a record says of the noise."""
        return {"distribution": self.noise.record(), "arithmetic": self.arithmetic}


class IntegerImages(NoisyImages):
    """8-bit images with noise rounded to the 1/255 grid, added in integers and converted once.

    The base classifier sees only the integer sum. So the certificates are those of the exact noise
    for F(z) = f(round(255 z) / 255), whatever the floating-point arithmetic does afterwards.
    """

    arithmetic = "integer"

    def __init__(self, noise: Noise, seed: int, shape: torch.Size) -> None:
        super().__init__(noise, seed)
        self.sampler = GridSampler(self.noise)
        self.total_variation = self.sampler.total_variation(shape.numel())

    def points(self, purpose: str, images: Tensor, ids: Tensor, samples: Tensor) -> Tensor:
        noise = self.sampler.sample(
            derive_key(self.seed, purpose), ids, samples, tuple(images.shape[1:]), images.device
        )
        return add_grid_noise(images, noise)

    def record(self) -> dict[str, Any]:
        return {
            **super().record(),
            "sampler": self.sampler.tag,
            "total_variation": self.total_variation,
        }


class FloatImages(NoisyImages):
    """Images in [0, 1] plus float32 noise, as the published code draws it.

    It is not sound in floating point. The rounding of x + noise depends on x, so a base classifier
    can recognise images by it (Voracek and Hein 2023).
    """

    arithmetic = "float"

    def points(self, purpose: str, images: Tensor, ids: Tensor, samples: Tensor) -> Tensor:
        key, shape = derive_key(self.seed, purpose), tuple(images.shape[1:])
        return draw(self.noise, key, ids, samples, shape, images.device).add_(images)


def noisy_images(arithmetic: Arithmetic, noise: Noise, seed: int, shape: torch.Size) -> NoisyImages:
    """Images of one shape (C, H, W) under this noise, in this arithmetic.

    ValueError for noise of scale 0, under which no vote shows anything.
    """
    if as_noise(noise).scale_value == 0:
        raise ValueError(
            f"expected noise to draw votes under, got {as_noise(noise)}; without noise, the answer "
            "is the largest logit, which rsmooth certify RUN --norm linf --epsilons 2/255 (in "
            "Python certify_linf) records and proves"
        )
    if arithmetic == "integer":
        return IntegerImages(noise, seed, shape)
    return FloatImages(noise, seed)
