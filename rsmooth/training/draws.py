"""The random choices of a training run: order, crops, flips and noise.

All are counter-based, keyed by (seed, purpose, image, epoch, copy). So they do not depend on the
batch of an image, on the number of processes, or on an interruption of the run. No state of a
generator has to be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.noise.continuous import draw, uniform_integers
from rsmooth.noise.distributions import Gaussian, NoiseDistribution
from rsmooth.noise.keys import derive_key
from rsmooth.noise.normal import standard_normal
from rsmooth.noise.philox import philox_words

# The streams of images of one run; each draws independently.
LABELLED, UNLABELLED, VALIDATION = range(3)


def by_kernel(noise: NoiseDistribution) -> bool:
    """Whether training draws this noise by ``standard_normal``; its law must be Gaussian's own."""
    return type(noise) is Gaussian and noise.scale_value > 0


@dataclass(frozen=True)
class Draws:
    """The draws for one stream of images.

        noise = Draws(seed=0).noise(ids, epoch, 4, x.shape[1:], Gaussian(0.25))

    seed: of the run. stream: LABELLED, UNLABELLED or VALIDATION.

    ``visits`` (B,) counts how often an image came before in the epoch; None is 0 for all. Each
    visit has draws of its own.
    """

    seed: int
    stream: int = LABELLED

    def order(self, count: int, epoch: int) -> Tensor:
        """The order of the images in this epoch: a permutation of 0..count-1, on the CPU."""
        return torch.randperm(count, generator=self._generator(epoch, 0), device="cpu")

    def weighted(self, weights: Tensor, epoch: int) -> Tensor:
        """As many positions as there are weights (N,), drawn with replacement in proportion."""
        ends = weights.double().cumsum(0)
        generator = self._generator(epoch, 3)
        uniform = torch.rand(len(ends), generator=generator, dtype=torch.float64, device="cpu")
        drawn = torch.searchsorted(ends, uniform * ends[-1], right=True)
        # Rounding may reach the very end, which means the last image of any weight.
        return drawn.clamp(max=int(torch.nonzero(weights)[-1]))

    def noise(
        self,
        ids: Tensor,
        epoch: int,
        copies: int,
        shape: torch.Size,
        noise: NoiseDistribution,
        visits: Tensor | None = None,
        purpose: str = "train-noise",
    ) -> Tensor:
        """Noise for each copy of each image: image ids (B,) -> (B, copies, C, H, W)."""
        whole = (len(ids), copies, *shape)
        if noise.scale_value == 0:
            return torch.zeros(whole, device=ids.device)
        key = derive_key(self.seed, purpose, self.stream, epoch)
        samples = torch.arange(copies, device=ids.device).repeat(len(ids))
        if visits is not None:
            samples = samples + copies * visits.repeat_interleave(copies)
        repeated = ids.repeat_interleave(copies)
        if by_kernel(noise):
            drawn = standard_normal(key, repeated, samples, tuple(shape), ids.device)
            return drawn.mul_(noise.scale_value).view(whole)
        return draw(noise, key, repeated, samples, tuple(shape), ids.device).view(whole)

    def integers(
        self, ids: Tensor, epoch: int, bounds: tuple[int, ...], visits: Tensor | None = None
    ) -> Tensor:
        """Uniform integers: column j is in 0..bounds[j]-1; (B,) -> (B, len(bounds)) int64."""
        key = derive_key(self.seed, "augment", self.stream, epoch, 1)
        first = torch.zeros_like(ids) if visits is None else visits * len(bounds)
        columns = [uniform_integers(key, ids, first + j, bound) for j, bound in enumerate(bounds)]
        return torch.stack(columns, dim=1)

    def uniform(self, ids: Tensor, epoch: int, purpose: str, count: int) -> Tensor:
        """Uniform numbers in [0, 1) for a method's ``purpose``: (B,) -> (B, count) float64."""
        digest = hashlib.sha256(purpose.encode()).digest()
        named = int.from_bytes(digest[:4], "little")
        key = derive_key(self.seed, "method", self.stream, epoch, named)
        words = philox_words(key, ids, torch.zeros_like(ids), 2 * count, ids.device)
        high, low = words[:, 0::2], words[:, 1::2] >> 11
        return (high << 21 | low).double() * 2.0**-53

    def generator(self, epoch: int, number: int, visit: int = 0) -> torch.Generator:
        """A CPU generator for one image in one epoch, for code that crops by a generator."""
        return self._generator(epoch, 2, number, *([visit] if visit else []))

    def _generator(self, *context: int) -> torch.Generator:
        high, low = derive_key(self.seed, "augment", self.stream, *context)
        return torch.Generator().manual_seed(high << 31 ^ low)


@dataclass(frozen=True)
class JoinedDraws:
    """The draws for a mini-batch of several streams, in whose order its images stand.

    parts: the draws of each stream, and how many images it has in the mini-batch.
    """

    parts: tuple[tuple[Draws, int], ...]

    def uniform(self, ids: Tensor, epoch: int, purpose: str, count: int) -> Tensor:
        """As of ``Draws``, each image by its own stream."""
        shares = torch.split(ids, [size for _, size in self.parts])
        found = [
            draws.uniform(share, epoch, purpose, count)
            for (draws, _), share in zip(self.parts, shares, strict=True)
        ]
        return torch.cat(found)


def joined(parts: Sequence[tuple[Draws, int]]) -> Draws | JoinedDraws:
    """The draws of one stream, or of several together."""
    return parts[0][0] if len(parts) == 1 else JoinedDraws(tuple(parts))
