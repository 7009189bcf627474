"""Small networks that train in seconds on a CPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS


@MODELS.register("small-cnn")
def small_cnn(
    num_classes: int = 10, normalize: Normalization = None, in_channels: int = 3, width: int = 32
) -> Classifier:
    """Three convolutions with batch norm, mean pooling, linear: for digits and quick runs.

        base = MODELS.create("small-cnn", num_classes=10, in_channels=1)

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images,
        which may have any size from 4x4 on.
    width: channels of the first layer, >= 1; the others have twice as many.
    """
    check_sizes(num_classes=num_classes, in_channels=in_channels, width=width)
    net = nn.Sequential(
        *_convolution(in_channels, width, stride=1),
        *_convolution(width, 2 * width, stride=2),
        *_convolution(2 * width, 2 * width, stride=1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, num_classes),
    )
    return Classifier(net, normalize, in_channels)


@MODELS.register("mlp")
def mlp(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 1,
    image_size: int = 8,
    hidden: Sequence[int] = (128,),
) -> Classifier:
    """Fully connected ReLU network on square images; hidden=() makes it a linear classifier.

        base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=(128,))

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    image_size: height and width of the images.
    hidden: widths of the hidden layers.
    """
    check_sizes(num_classes=num_classes, in_channels=in_channels, image_size=image_size)
    check_sizes(**{f"hidden[{at}]": width for at, width in enumerate(hidden)})
    widths = [in_channels * image_size**2, *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return Classifier(
        nn.Sequential(*layers, nn.Linear(widths[-1], num_classes)), normalize, in_channels
    )


def _convolution(in_width: int, width: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
