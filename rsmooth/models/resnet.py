"""The CIFAR ResNets of 6n + 2 layers, as in the published checkpoints.

He et al. 2015 (arXiv:1512.03385), section 4.2. Where the shape changes, the shortcut of the
checkpoints for randomized smoothing is a 1x1 convolution with batch norm (option B of section
4.1). That of the paper, and of many networks that were trained without noise, is padding (option
A).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor, nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS

Shortcut = Literal["convolution", "padding"]
"""Where the shape changes: a 1x1 convolution with batch norm, or every other pixel and zeros."""


class _Padding(nn.Module):
    """Every other pixel, and channels of zeros on both sides: no parameters."""

    def __init__(self, stride: int, channels: int) -> None:
        super().__init__()
        self.stride, self.before, self.after = stride, channels // 2, channels - channels // 2

    def forward(self, x: Tensor) -> Tensor:
        kept = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(kept, (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut; ReLU after the sum."""

    def __init__(
        self, in_width: int, width: int, stride: int, shortcut: Shortcut = "convolution"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if (stride != 1 or in_width != width) and shortcut == "padding":
            self.downsample = _Padding(stride, width - in_width)
        elif stride != 1 or in_width != width:
            convolution = nn.Conv2d(in_width, width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)) + shortcut)
        return out


class CifarResNet(nn.Module):
    """The network of a CIFAR ResNet: images (N, in_channels, H, W) -> logits (N, num_classes).

        net = CifarResNet(20, num_classes=10)

    depth: 6n + 2 for n blocks per stage; ValueError otherwise. shortcut: "convolution" or
        "padding".

    Three stages of basic blocks with widths 16, 32, 64 and strides 1, 2, 2; then global mean and a
    linear layer. Made for images of 32x32; any size from 4x4 on works.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 3,
        shortcut: Shortcut = "convolution",
    ) -> None:
        super().__init__()
        check_sizes(depth=depth, num_classes=num_classes, in_channels=in_channels)
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"expected a depth of 6n + 2 (8, 14, 20, ..., 110), got {depth}")
        if shortcut not in get_args(Shortcut):
            raise ValueError(
                f"expected shortcut to be one of {', '.join(get_args(Shortcut))}, got {shortcut!r}"
            )
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(16, 16, blocks, 1, shortcut)
        self.layer2 = _stage(16, 32, blocks, 2, shortcut)
        self.layer3 = _stage(32, 64, blocks, 2, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)
        initialise_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def initialise_convolutions(module: nn.Module) -> None:
    """Draw the weights of every convolution from N(0, 2 / (k^2 c_out)).

    He et al. 2015 (arXiv:1502.01852), eq. 14.
    """
    for layer in module.modules():
        # On the meta device there are no numbers, and to draw none loads torch's compiler.
        if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
            fan_out = (
                layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1] // layer.groups
            )
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / fan_out))


def _stage(
    in_width: int, width: int, blocks: int, stride: int, shortcut: Shortcut
) -> nn.Sequential:
    first = BasicBlock(in_width, width, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1)))


@MODELS.register("resnet8")
def resnet8(
    num_classes: int = 10, normalize: Normalization = None, in_channels: int = 3
) -> Classifier:
    """CIFAR ResNet of 8 layers, 0.08 M parameters: for tests and quick runs on a CPU.

        base = MODELS.create("resnet8", num_classes=10, normalize="cifar10")

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    """
    return Classifier(CifarResNet(8, num_classes, in_channels), normalize, in_channels)


@MODELS.register("resnet20")
def resnet20(
    num_classes: int = 10, normalize: Normalization = None, in_channels: int = 3
) -> Classifier:
    """CIFAR ResNet of 20 layers, 0.27 M parameters, 41 M multiply-adds per image.

        base = MODELS.create("resnet20", num_classes=10, normalize="cifar10")

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    Published checkpoints call it cifar_resnet20.
    """
    return Classifier(CifarResNet(20, num_classes, in_channels), normalize, in_channels)


@MODELS.register("resnet110")
def resnet110(
    num_classes: int = 10, normalize: Normalization = None, in_channels: int = 3
) -> Classifier:
    """CIFAR ResNet of 110 layers, 1.7 M parameters, 253 M multiply-adds per image.

        base = MODELS.create("resnet110", num_classes=10, normalize="cifar10")

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    Published checkpoints call it cifar_resnet110.
    """
    return Classifier(CifarResNet(110, num_classes, in_channels), normalize, in_channels)


@MODELS.register("cifar-resnet")
def cifar_resnet(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    depth: int = 56,
    shortcut: Shortcut = "convolution",
) -> Classifier:
    """CIFAR ResNet of any depth, with convolutions or padding where the shape changes.

        base = MODELS.create("cifar-resnet", depth=56, shortcut="padding", normalize="imagenet")

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    depth: 6n + 2 for n blocks per stage, such as 20, 32, 44, 56 or 110; ValueError otherwise.
    shortcut: "convolution", which is option B of the paper, or "padding", option A.

    Padding is refused by deterministic bounds, which do not know it.
    """
    net = CifarResNet(depth, num_classes, in_channels, shortcut)
    return Classifier(net, normalize, in_channels)
