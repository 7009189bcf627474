"""A wide, shallow residual network: few kernels, each large, so that a GPU runs near its peak."""

from __future__ import annotations

from torch import Tensor, nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.models.resnet import initialise_convolutions
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


@MODELS.register("resnet9")
def resnet9(
    num_classes: int = 10, normalize: Normalization = None, in_channels: int = 3, width: int = 64
) -> Classifier:
    """Wide ResNet of 9 layers (64 to 256 channels) for 32x32 images: made for GPUs.

        base = MODELS.create("resnet9", num_classes=10, normalize="cifar10")

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    width: channels of the first layer, >= 1, best a multiple of 8. Later stages have 2, 4 and 4
        times as many.

    An epoch is quicker than that of resnet110.
    """
    check_sizes(num_classes=num_classes, in_channels=in_channels, width=width)
    net = nn.Sequential(
        _convolution(in_channels, width),
        _convolution(width, 2 * width),
        nn.MaxPool2d(2),
        _Residual(2 * width),
        _convolution(2 * width, 4 * width),
        nn.MaxPool2d(2),
        _convolution(4 * width, 4 * width),
        nn.MaxPool2d(2),
        _Residual(4 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, num_classes),
    )
    initialise_convolutions(net)
    return Classifier(net, normalize, in_channels)


def _convolution(in_width: int, width: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_width, width, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
