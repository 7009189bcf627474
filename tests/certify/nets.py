"""Base classifiers with known answers, importable by worker processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsmooth.smoothed import SmoothedClassifier


class HalfSpace(nn.Module):
    """Class 1 where w.z > b for unit w, else class 0.

    g is the same half-space, and its true radius is |w.x - b|.
    """

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.register_buffer("w", (w / w.norm()).float())
        self.register_buffer("b", torch.tensor(float(b)))

    def forward(self, z: Tensor) -> Tensor:
        side = (z * self.w.to(z.dtype)).flatten(1).sum(1) - self.b.to(z.dtype)
        return torch.stack([-side, side], dim=1)


class PixelAbove(nn.Module):
    """Class 1 where the first pixel is above a threshold: the boundary is as far in every norm."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(float(threshold)))

    def forward(self, z: Tensor) -> Tensor:
        above = (z[:, 0, 0, 0] > self.threshold.to(z.dtype)).to(z.dtype)
        return torch.stack([1 - above, above], dim=1)


class Scripted(nn.Module):
    """Logits that depend only on the noisy value of the first pixel, by a function with a name."""

    def __init__(self, kind: str, num_classes: int = 3) -> None:
        super().__init__()
        self.kind, self.num_classes = kind, num_classes
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        first = z[:, 0, 0, 0]
        logits = torch.zeros(len(z), self.num_classes, dtype=z.dtype, device=z.device)
        if self.kind == "nan":
            logits[:, 1] = torch.nan
        elif self.kind == "half nan":
            logits[:, 1] = torch.where(first > 0.5, torch.nan, 1.0)
        elif self.kind == "infinite":
            logits[:, 1] = torch.inf
        elif self.kind == "coin":
            logits[:, 1] = torch.where(first > 0.5, 1.0, -1.0)
        elif self.kind == "constant":
            logits[:, 2] = 1.0
        return logits * self.scale


class Sensitive(nn.Module):
    """Class 3 where float32 matrix products may be rounded, else class 0."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.eye(4, device=z.device)[
            0 if torch.get_float32_matmul_precision() == "highest" else 3
        ].repeat(len(z), 1)


def sensitive() -> SmoothedClassifier:
    """A smoothed classifier that answers to torch's setting, not to the image."""
    return SmoothedClassifier(Sensitive(), 0.25, 4)


def half_space(sigma: float = 0.5, shape: tuple[int, int, int] = (1, 4, 4)) -> SmoothedClassifier:
    """A smoothed half-space through the middle of the cube with a fixed random normal."""
    w = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    w = w / w.norm()
    return SmoothedClassifier(HalfSpace(w, float(0.5 * w.sum())), sigma, 2)


def small_net(sigma: float = 0.25) -> SmoothedClassifier:
    """A small untrained network with convolutions and batch norm, whose votes are split."""
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 4),
    )
    with torch.no_grad():
        net(torch.rand(64, 1, 4, 4))
        net[-1].weight.mul_(5.0)
        net[-1].bias.copy_(-(net.eval()(torch.rand(256, 1, 4, 4)).mean(0)))
    return SmoothedClassifier(net.eval(), sigma, 4)


def images(count: int, shape: tuple[int, int, int] = (1, 4, 4), seed: int = 0) -> Tensor:
    """uint8 images of random pixels."""
    return torch.randint(
        0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
