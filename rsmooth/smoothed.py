"""The smoothed classifier g of a base classifier: the one place where sigma lives."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth._version import __version__
from rsmooth.models.checkpoints import atomic_save, load_weights, safe_load
from rsmooth.plumbing.numbers import check_sigma
from rsmooth.registry import MODELS

FORMAT = "rsmooth-model-1"


class SmoothedClassifier(nn.Module):
    """g(x) = argmax_c P(f(x + noise) = c), noise ~ N(0, sigma^2 I), around a base classifier that
    returns logits.

    base: a module (N, C, H, W) -> (N, K) on images in [0, 1]; its normalisation, if any, is its own
    first layer.
    sigma: standard deviation of the noise in [0, 1] pixel units, >= 0 (0 makes g the base
    classifier).
    num_noise: how many noise samples ``forward`` averages over.
    Cohen et al. 2019 (arXiv:1902.02918), section 3; the soft version G that ``forward`` returns is
    Salman et al. 2019 (arXiv:1906.04584), section 2.
    """

    def __init__(
        self, base: nn.Module, sigma: float, num_classes: int, *, num_noise: int = 16
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"expected num_classes >= 2, got {num_classes}")
        if num_noise < 1:
            raise ValueError(f"expected num_noise >= 1, got {num_noise}")
        self.base = base
        self.sigma = check_sigma(sigma, allow_zero=True)
        self.num_classes = int(num_classes)
        self.num_noise = int(num_noise)
        self._frozen_seed: int | None = None

    def sample_noise(self, x: Tensor, m: int, generator: torch.Generator | None = None) -> Tensor:
        """Noise for m copies of each image: (B, C, H, W) -> (B, m, C, H, W), N(0, sigma^2), never
        clamped.
        """
        shape = (x.shape[0], m, *x.shape[1:])
        device = generator.device if generator is not None else x.device
        return (
            torch.randn(shape, generator=generator, device=device, dtype=x.dtype).to(x.device)
            * self.sigma
        )

    def log_probs(self, points: Tensor) -> Tensor:
        """Log-softmax of the base classifier at given points: (B, m, C, H, W) -> (B, m, K), at
        least float32.

        A class count other than num_classes raises ValueError.
        """
        logits: Tensor = self.base(points.flatten(0, 1))
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise ValueError(
                f"expected logits (N, {self.num_classes}) from the base classifier, "
                f"got {tuple(logits.shape)}; check num_classes"
            )
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()
        return logits.log_softmax(dim=1).reshape(*points.shape[:2], self.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give log G(x), the log of the mean softmax over num_noise copies: (B, C, H, W) -> (B, K).

        The cross-entropy of it is the SmoothAdv loss, so that every cross-entropy attack of every
        library is a SmoothAdv attack on this module. The noise is fresh in every call, unless
        within ``frozen_noise``.
        """
        generator = None
        if self._frozen_seed is not None:
            generator = torch.Generator(device="cpu").manual_seed(self._frozen_seed)
        m = self.num_noise
        noise = self.sample_noise(x, m, generator)
        return self.log_probs(x.unsqueeze(1) + noise).logsumexp(dim=1) - math.log(m)

    @contextmanager
    def frozen_noise(self, seed: int, num_noise: int | None = None) -> Iterator[SmoothedClassifier]:
        """Within this context ``forward`` uses one fixed noise tensor, a deterministic function for
        an outside attack.

        num_noise replaces the module's own for the time of the context. The noise belongs to (seed,
        batch shape).
        """
        if num_noise is not None and num_noise < 1:
            raise ValueError(f"expected num_noise >= 1, got {num_noise}")
        before = self._frozen_seed, self.num_noise
        self._frozen_seed, self.num_noise = (
            int(seed),
            self.num_noise if num_noise is None else int(num_noise),
        )
        try:
            yield self
        finally:
            self._frozen_seed, self.num_noise = before

    def extra_repr(self) -> str:
        return f"sigma={self.sigma:g}, num_classes={self.num_classes}, num_noise={self.num_noise}"

    def save(self, path: str | os.PathLike[str], **extra: Any) -> None:
        """Write sigma, architecture, normalisation and weights to one file, atomically.

        extra: further plain values to keep beside them. The base must come from ``MODELS.create``,
        which notes the architecture; ValueError otherwise.
        """
        architecture = getattr(self.base, "architecture", None)
        if architecture is None:
            raise ValueError(
                "expected a base classifier from MODELS.create (it notes name and options), got "
                f"{type(self.base).__name__}; register its constructor with "
                "@MODELS.register('name'), "
                "or save its state_dict yourself"
            )
        atomic_save(
            {
                "format": FORMAT,
                "version": __version__,
                "sigma": self.sigma,
                "num_classes": self.num_classes,
                "num_noise": self.num_noise,
                "architecture": architecture,
                "extra": extra,
                "state_dict": self.base.state_dict(),
            },
            Path(path),
        )

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, map_location: str | torch.device = "cpu"
    ) -> SmoothedClassifier:
        """Read a file that ``save`` wrote; ValueError for a file of another kind or weights that do
        not fit.
        """
        content = safe_load(path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(
                f"expected a model written by SmoothedClassifier.save, got {path}; published "
                "checkpoints "
                "are opened by rsmooth.models.load_checkpoint"
            )
        needed = ("architecture", "sigma", "num_classes", "num_noise", "state_dict")
        lacking = [key for key in needed if key not in content]
        if lacking:
            raise ValueError(
                f"expected {', '.join(lacking)} in {path}, got {', '.join(map(str, content))}; "
                "the file is incomplete: write it again with SmoothedClassifier.save"
            )
        architecture = content["architecture"]
        base = MODELS.create(architecture["name"], **architecture["options"])
        load_weights(base, content["state_dict"], source=str(path))
        g = cls(
            base.to(map_location),
            content["sigma"],
            content["num_classes"],
            num_noise=content["num_noise"],
        )
        return g.eval()
