"""Random small networks of every kind of layer whose bounds are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsmooth.models.normalize import Normalize

SHAPE = (2, 5, 4)
CLASSES = 3


class Residual(nn.Module):
    """relu(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) + self.shortcut(x)).relu()


def random_net(seed: int) -> nn.Sequential:
    """A float64 network in eval mode on images of ``SHAPE``, with ``CLASSES`` logits."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [Normalize((0.4, 0.6), (0.3, 0.2))] if seed % 2 else []
    channels = 2
    for _ in range(int(torch.randint(0, 3, ()))):
        wider = int(torch.randint(1, 5, ()))
        kernel, stride, padding = (int(torch.randint(low, high, ())) for low, high in _GEOMETRY)
        convolution = nn.Conv2d(channels, wider, kernel, stride, max(padding, kernel // 2))
        layers.append(_wrapped(convolution, channels, wider, stride))
        channels = wider
    if torch.rand(()) < 0.3:
        layers.append(nn.AdaptiveAvgPool2d(2) if torch.rand(()) < 0.5 else nn.AvgPool2d(2, 1, 1))
    layers.append(nn.Flatten())
    net = nn.Sequential(*layers)
    width = net(torch.rand(2, *SHAPE)).shape[1]
    hidden = int(torch.randint(2, 9, ()))
    net.extend([nn.Linear(width, hidden), nn.ReLU()])
    if torch.rand(()) < 0.3:
        net.extend([nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU()])
    net.append(nn.Linear(hidden, CLASSES, bias=bool(torch.rand(()) < 0.8)))
    for layer in net.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.3, 3.0)
    return net.double().eval()


_GEOMETRY = ((1, 4), (1, 3), (0, 2))  # kernel, stride, padding: from, below


def _wrapped(convolution: nn.Conv2d, channels: int, wider: int, stride: int) -> nn.Module:
    """The convolution with a ReLU, and perhaps batch norm or a shortcut."""
    draw = torch.rand(())
    if draw < 0.3:
        return nn.Sequential(convolution, nn.BatchNorm2d(wider), nn.ReLU(inplace=True))
    if draw < 0.5:
        convolution = nn.Conv2d(channels, wider, 3, stride, 1)
        return Residual(convolution, nn.Conv2d(channels, wider, 1, stride))
    return nn.Sequential(convolution, nn.ReLU())
