"""The random choices of a training run: order, crops, flips and noise.

All are counter-based, keyed by (seed, purpose, image, epoch, copy). So they do not depend on the
batch an image comes in, on the number of processes, or on whether the run was interrupted, and no
generator state needs saving.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.noise.continuous import gaussian, uniform_integers
from rsmooth.noise.keys import derive_key

LABELLED, UNLABELLED, VALIDATION = range(
    3
)  # the streams of images of one run; each draws independently


@dataclass(frozen=True)
class Draws:
    """The draws for one stream of images."""

    seed: int
    stream: int = LABELLED

    def order(self, count: int, epoch: int) -> Tensor:
        """The order of the images in this epoch: a permutation of 0..count-1, on the CPU."""
        return torch.randperm(count, generator=self._generator(epoch, 0))

    def noise(
        self, ids: Tensor, epoch: int, copies: int, shape: torch.Size, sigma: float
    ) -> Tensor:
        """Gaussian noise for ``copies`` copies of each image: (B,) image numbers -> (B, copies, C,
        H, W).
        """
        key = derive_key(self.seed, "train-noise", self.stream, epoch)
        samples = torch.arange(copies, device=ids.device).repeat(len(ids))
        flat = gaussian(key, ids.repeat_interleave(copies), samples, tuple(shape), ids.device)
        return flat.view(len(ids), copies, *shape).mul_(sigma)

    def integers(self, ids: Tensor, epoch: int, bounds: tuple[int, ...]) -> Tensor:
        """Uniform integers for each image: column j lies in 0..bounds[j]-1; (B,) -> (B,
        len(bounds)) int64.
        """
        key = derive_key(self.seed, "augment", self.stream, epoch, 1)
        columns = [
            uniform_integers(key, ids, torch.full_like(ids, j), bound)
            for j, bound in enumerate(bounds)
        ]
        return torch.stack(columns, dim=1)

    def generator(self, epoch: int, number: int) -> torch.Generator:
        """A CPU generator for one image in one epoch, where others' code (decoding and cropping)
        asks for one.
        """
        return self._generator(epoch, 2, number)

    def _generator(self, *context: int) -> torch.Generator:
        high, low = derive_key(self.seed, "augment", self.stream, *context)
        return torch.Generator().manual_seed(high << 31 ^ low)
