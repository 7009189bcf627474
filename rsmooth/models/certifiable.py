"""Networks that deterministic l-infinity certificates are published for.

They are small or plain enough that interval and linear bounds stay tight. Layers are made for one
image size, since no pooling precedes the linear ones.
"""

from __future__ import annotations

import itertools
from typing import Literal

from torch import Tensor, nn

from rsmooth.models.initial import initialise_for_intervals
from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.models.resnet import initialise_convolutions
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS

Initial = Literal["torch", "wong-kolter", "ibp"]
"""The first weights: torch's; N(0, 2 / (k^2 c_out)) in convolutions; those of fast IBP."""


@MODELS.register("wk-small")
def wk_small(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    image_size: int = 32,
    width: int = 16,
    initial: Initial = "wong-kolter",
) -> Classifier:
    """Wong and Kolter's small network: two convolutions and two linear layers, 0.21 M parameters.

        base = MODELS.create("wk-small", num_classes=10, normalize="cifar10")

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    image_size: height and width of the images. width: channels of the first layer.
    initial: the first weights, "torch", "wong-kolter" or "ibp".

    arXiv:1805.12514, appendix B.
    """
    _check(num_classes, in_channels, image_size, width)
    left = _halved(image_size, 2)
    net = nn.Sequential(
        nn.Conv2d(in_channels, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * left**2, 100),
        nn.ReLU(),
        nn.Linear(100, num_classes),
    )
    return _finished(net, initial, normalize, in_channels)


@MODELS.register("wk-large")
def wk_large(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    image_size: int = 32,
    width: int = 32,
    initial: Initial = "wong-kolter",
) -> Classifier:
    """Wong and Kolter's large network: four convolutions and three linear layers, 2.5 M parameters.

        base = MODELS.create("wk-large", num_classes=10, normalize="cifar10")

    The options are those of ``wk_small``. arXiv:1805.12514, appendix B.
    """
    _check(num_classes, in_channels, image_size, width)
    left, hidden = _halved(image_size, 2), 16 * width
    net = nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * left**2, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, num_classes),
    )
    return _finished(net, initial, normalize, in_channels)


class _Block(nn.Module):
    """Convolution, ReLU, convolution; a convolution as shortcut; ReLU after the sum."""

    def __init__(self, in_width: int, width: int, *, down: bool) -> None:
        super().__init__()
        kernel, stride = (4, 2) if down else (3, 1)
        self.conv1 = nn.Conv2d(in_width, width, kernel, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(in_width, width, stride, stride=stride)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu2(self.shortcut(x) + self.conv2(self.relu1(self.conv1(x))))
        return out


@MODELS.register("wk-resnet")
def wk_resnet(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    image_size: int = 32,
    width: int = 16,
    initial: Initial = "wong-kolter",
) -> Classifier:
    """Wong and Kolter's residual network: four blocks without batch norm, 4.2 M parameters.

        base = MODELS.create("wk-resnet", num_classes=10, normalize="cifar10")

    The options are those of ``wk_small``. arXiv:1805.12514, appendix B.
    """
    _check(num_classes, in_channels, image_size, width)
    left = _halved(image_size, 2)
    blocks = [
        _Block(width, width, down=False),
        _Block(width, width, down=False),
        _Block(width, 2 * width, down=True),
        _Block(2 * width, 4 * width, down=True),
    ]
    net = nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1),
        nn.ReLU(),
        *blocks,
        nn.Flatten(),
        nn.Linear(4 * width * left**2, 1000),
        nn.ReLU(),
        nn.Linear(1000, num_classes),
    )
    after_sums = [layer for block in blocks[1:] for layer in (block.conv1, block.shortcut)]
    return _finished(net, initial, normalize, in_channels, after_sums)


@MODELS.register("dm-large")
def dm_large(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    image_size: int = 32,
    width: int = 64,
    initial: Initial = "torch",
) -> Classifier:
    """The large network of Gowal et al.; another name of ``cnn7``.

        base = MODELS.create("dm-large", num_classes=10, normalize="cifar10")

    The options are those of ``cnn7``. arXiv:1810.12715, table 1.
    """
    return cnn7(num_classes, normalize, in_channels, image_size, width, initial)


@MODELS.register("cnn7")
def cnn7(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    image_size: int = 32,
    width: int = 64,
    initial: Initial = "torch",
) -> Classifier:
    """Five convolutions and two linear layers, 17.2 M parameters: the net of most IBP papers.

        base = MODELS.create("cnn7", num_classes=10, normalize="cifar10")

    num_classes: logits per image. normalize: as in ``Classifier``. in_channels: of the images.
    image_size: height and width of the images. width: channels of the first layer.
    initial: the first weights, "torch", "wong-kolter" or "ibp".

    Gowal et al. 2018 (arXiv:1810.12715), table 1, "large".
    """
    return _cnn7(num_classes, normalize, in_channels, image_size, width, initial, batch_norm=False)


@MODELS.register("cnn7-bn")
def cnn7_bn(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    image_size: int = 32,
    width: int = 64,
    initial: Initial = "ibp",
) -> Classifier:
    """``cnn7`` with batch norm after every layer but the last, 17.2 M parameters.

        base = MODELS.create("cnn7-bn", num_classes=10, normalize="cifar10")

    The options are those of ``cnn7``. Shi et al. 2021 (arXiv:2103.17268).
    """
    return _cnn7(num_classes, normalize, in_channels, image_size, width, initial, batch_norm=True)


def _cnn7(
    num_classes: int,
    normalize: Normalization,
    in_channels: int,
    image_size: int,
    width: int,
    initial: Initial,
    *,
    batch_norm: bool,
) -> Classifier:
    _check(num_classes, in_channels, image_size, width)
    left, hidden = _halved(image_size, 1), 8 * width
    channels = [in_channels, width, width, 2 * width, 2 * width, 2 * width]
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(itertools.pairwise(channels)):
        layers.append(nn.Conv2d(before, after, 3, stride=2 if number == 2 else 1, padding=1))
        layers += [nn.BatchNorm2d(after)] if batch_norm else []
        layers.append(nn.ReLU())
    layers += [nn.Flatten(), nn.Linear(2 * width * left**2, hidden)]
    layers += [nn.BatchNorm1d(hidden)] if batch_norm else []
    layers += [nn.ReLU(), nn.Linear(hidden, num_classes)]
    return _finished(nn.Sequential(*layers), initial, normalize, in_channels)


def _check(num_classes: int, in_channels: int, image_size: int, width: int) -> None:
    check_sizes(num_classes=num_classes, in_channels=in_channels, width=width)
    check_sizes(image_size=image_size)
    if image_size < 4:
        raise ValueError(f"expected image_size >= 4, got {image_size}")


def _halved(size: int, times: int) -> int:
    """The size after convolutions of stride 2, for which the size is to be even."""
    factor = 1 << times
    if size % factor:
        raise ValueError(
            f"expected image_size as a multiple of {factor}, got {size}; pad the images"
        )
    return size // factor


def _finished(
    net: nn.Module,
    initial: Initial,
    normalize: Normalization,
    in_channels: int,
    after_sums: list[nn.Conv2d] | None = None,
) -> Classifier:
    if initial == "wong-kolter":
        initialise_convolutions(net)
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
    elif initial == "ibp":
        initialise_for_intervals(net, after_sums or [])
    elif initial != "torch":
        raise ValueError(f"expected initial to be one of torch, wong-kolter, ibp, got {initial!r}")
    return Classifier(net, normalize, in_channels)
