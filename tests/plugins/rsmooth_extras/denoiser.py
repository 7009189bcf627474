"""Denoised smoothing: a denoiser before a classifier that nobody retrains (Salman et al. 2020)."""

from dataclasses import dataclass

from torch import Tensor, nn

from rsmooth import MODELS, Trainer
from rsmooth.training import Batch


class Denoised(nn.Module):
    """classifier(x - denoiser(x)), both on images in [0, 1]."""

    def __init__(self, classifier: nn.Module, channels: int) -> None:
        super().__init__()
        first, last = nn.Conv2d(channels, 8, 3, padding=1), nn.Conv2d(8, channels, 3, padding=1)
        self.denoiser = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), last)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x - self.denoiser(x))


def denoised(**options: int) -> Denoised:
    """A small denoiser before a small-cnn; options as of that."""
    return Denoised(MODELS.create("small-cnn", **options), options["in_channels"])


@dataclass(frozen=True, kw_only=True)
class DenoiserTrainer(Trainer):
    """Mean squared error of the denoised image, under Adam; the classifier stays as it is."""

    optimizer: str = "adam"
    frozen_parts: tuple[str, ...] = ("classifier",)

    def losses(self, batch: Batch) -> Tensor:
        noisy = (batch.x.unsqueeze(1) + batch.noise).flatten(0, 1)
        residue = batch.module.denoiser(noisy).view_as(batch.noise)
        return (residue - batch.noise).square().mean(dim=(1, 2, 3, 4))
