"""Small networks of every kind that integers compute, and a machine that can."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from rsmooth.models.int8.quantizing import quantize
from rsmooth.plumbing.machine import int8_instructions
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

needs_int8 = pytest.mark.skipif(
    int8_instructions() is None, reason="needs a CPU with 8-bit integer instructions"
)


class Odd(nn.Module):
    """Layers in unusual places: a sum of an input with itself, ReLU by itself, padded pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.same = nn.Conv2d(8, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, (1, 3), padding=(0, 2), dilation=(1, 2), groups=4)
        self.mean = nn.AvgPool2d(2, stride=1)
        self.hidden, self.head = nn.Linear(8 * 7 * 7, 12), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.pool(self.first(x)))
        x = x + self.same(x)
        shortcut = self.grouped(x)
        x = self.same(x) + shortcut
        x = torch.relu(x + shortcut)
        return self.head(torch.relu(self.hidden(self.mean(x).flatten(1))))


def odd() -> nn.Module:
    return Odd()


NETS = {
    "small-cnn": {"width": 8},
    "mlp": {"in_channels": 3, "image_size": 16, "hidden": (20, 20)},
    "resnet8": {"normalize": "cifar10"},
    "resnet9": {"width": 8, "normalize": (0.5,)},
    "patch-cnn": {"widths": (8, 16)},
    "patch-cnn residual": {"widths": (8, 16), "residual": True, "normalize": "cifar10"},
    "odd": {},
}


def network(name: str) -> nn.Module:
    """An eval-mode network of NETS on images (N, 3, 16, 16), with statistics of some images."""
    torch.manual_seed(0)
    kind = name.split()[0]
    base = Odd() if kind == "odd" else MODELS.create(kind, num_classes=10, **NETS[name])
    with torch.no_grad():
        for _ in range(3):
            base(noisy(16))
        for layer in base.modules():  # as after a training, and some with the other sign
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.normal_(1.0, 0.5)
                layer.bias.normal_(0.0, 0.3)
    return base.eval()


def noisy(count: int, seed: int = 0) -> Tensor:
    """Images (count, 3, 16, 16) of the 8-bit grid, with noise, as certification makes them."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), generator=generator)
    noise = (64 * torch.randn(images.shape, generator=generator)).round()
    return (images + noise).float() / 255


def training_images(count: int = 32) -> Tensor:
    return torch.rand((count, 3, 16, 16), generator=torch.Generator().manual_seed(9))


@cache
def smoothed(name: str) -> SmoothedClassifier:
    return SmoothedClassifier(network(name), 0.25, 10).eval()


@cache
def quantized(name: str) -> SmoothedClassifier:
    return quantize(smoothed(name), training_images(), seed=0)
