"""A wide network that pools early: most of its arithmetic is in few, large convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.models.resnet import BasicBlock
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS


@MODELS.register("patch-cnn")
def patch_cnn(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    patch_width: int = 24,
    widths: Sequence[int] = (64, 256, 256),
    residual: bool = False,
) -> Classifier:
    """Patch convolution and three wide blocks that pool early, 2 M parameters: for CIFAR on CPUs.

        base = MODELS.create("patch-cnn", normalize="cifar10", widths=(32, 64, 128))

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    patch_width: channels of the first layer, a convolution of 2x2 patches with ReLU, >= 1.
    widths: channels of each block, >= 1, best multiples of 32. A block is convolution, 2x2 max
        pooling, batch norm, ReLU, convolution, batch norm, ReLU; all convolutions are 3x3.
    residual: whether the second convolution of each block is two, with a shortcut around them.

    The maximum over what is left of the image goes to a linear layer. So an image needs
    2^len(widths) + 1 pixels a side. The shape is that of Jordan 2024 (arXiv:2404.00498), for speed:
    118 M multiply-adds per image of 32x32 in eight layers, of which none has few channels on a
    large image. Early pooling keeps most of them at 15x15 pixels and below.
    """
    check_sizes(num_classes=num_classes, in_channels=in_channels, patch_width=patch_width)
    check_sizes(**{f"widths[{at}]": width for at, width in enumerate(widths)})
    layers: list[nn.Module] = [nn.Conv2d(in_channels, patch_width, 2), nn.ReLU(inplace=True)]
    before = patch_width
    for width in widths:
        layers += [
            *(_convolution(before, width), nn.MaxPool2d(2)),
            *(nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *_second(width, residual),
        ]
        before = width
    head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(before, num_classes)]
    return Classifier(nn.Sequential(*layers, *head), normalize, in_channels)


def _second(width: int, residual: bool) -> list[nn.Module]:
    if residual:
        return [BasicBlock(width, width, stride=1)]
    return [_convolution(width, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


def _convolution(in_width: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(in_width, width, 3, padding=1, bias=False)
