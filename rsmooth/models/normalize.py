"""Normalisation as the model's first layer: images stay in [0, 1], and sigma keeps its unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Constants: TypeAlias = float | Sequence[float]
Normalization: TypeAlias = str | tuple[Constants] | tuple[Constants, Constants | None] | None

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_NUMBER = re.compile(r"\d*\.?\d+")

NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...] | None] | None] = {
    "none": None,
    "cifar10": (CIFAR10_MEAN, CIFAR10_STD),
    "cifar10-center": (CIFAR10_MEAN, None),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "imagenet-center": (IMAGENET_MEAN, None),
    # Mean and std of the pixels of the training images, as they are in wide use.
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "mnist": ((0.1307,), (0.3081,)),
    "fashion-mnist": ((0.2860,), (0.3530,)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "stl10": ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)),
    "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2770, 0.2691, 0.2821)),
}


class Normalize(nn.Module):
    """The layer (x - mean) / std of each channel: (N, C, H, W) -> (N, C, H, W).

        net = nn.Sequential(Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)), resnet)

    mean, std: a number for all channels, or one per channel, in [0, 1] pixel units. std=None
        subtracts the mean alone.

    Both are buffers, so they are saved with the model and move with it. ValueError for values that
    are not finite, and for a std <= 0.
    """

    mean: Tensor
    std: Tensor | None

    def __init__(self, mean: Constants, std: Constants | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", _per_channel(mean, "mean"))
        self.register_buffer("std", None if std is None else _per_channel(std, "std"))
        if self.std is not None and not bool((self.std > 0).all()):
            raise ValueError(f"expected std > 0 for every channel, got {std}")
        if self.std is not None and len({self.mean.shape[1], self.std.shape[1], 1}) > 2:
            raise ValueError(
                f"expected as many means as stds, got {self.mean.shape[1]} and {self.std.shape[1]}"
            )

    @property
    def channels(self) -> int:
        """The number of channels that the constants are for; 1 means any."""
        return max(self.mean.shape[1], 1 if self.std is None else self.std.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        # Broadcasting would make a colour image of a grey one.
        if x.shape[1] != self.channels != 1:
            raise ValueError(f"expected images of {self.channels} channels, got {tuple(x.shape)}")
        centred = x - self.mean
        return centred if self.std is None else centred / self.std

    def extra_repr(self) -> str:
        std = None if self.std is None else [round(v, 6) for v in self.std.flatten().tolist()]
        return f"mean={[round(v, 6) for v in self.mean.flatten().tolist()]}, std={std}"


class Classifier(nn.Sequential):
    """Normalisation, then a network: images (N, C, H, W) in [0, 1] -> logits (N, K).

        base = Classifier(CifarResNet(20), normalize="cifar10", in_channels=3)

    net: images (N, C, H, W) -> logits (N, K).
    normalize: a name of NORMALIZATIONS, (mean, std), (mean,) or None.
    in_channels: C, which the constants must fit; ValueError otherwise.
    architecture: registry name and options, noted by ``MODELS.create``. They rebuild the model
        from a file.
    origin: name and SHA-256 of the file of the weights, where the file has no checksums itself.

    The network is layer 1 whether or not there is a normalisation. So the keys of the state dict
    are those of the published checkpoints (``1.conv1.weight``). The constants are beside them
    (``0.mean``, ``0.std``).
    """

    architecture: dict[str, Any] | None = None
    origin: dict[str, str] | None = None

    def __init__(self, net: nn.Module, normalize: Normalization, in_channels: int) -> None:
        super().__init__(normalization_layer(normalize, in_channels), net)


def normalization_layer(normalize: Normalization, in_channels: int) -> nn.Module:
    """The first layer for a name of NORMALIZATIONS, (mean, std), (mean,) or None.

    ValueError for anything else.
    """
    if isinstance(normalize, str):
        if normalize not in NORMALIZATIONS:
            raise ValueError(
                f"expected normalize to be one of {', '.join(NORMALIZATIONS)}, or (mean, std), or "
                f"(mean,), got {normalize!r}"
            )
        normalize = NORMALIZATIONS[normalize]
    if normalize is None:
        return nn.Identity()
    if not isinstance(normalize, (tuple, list)) or len(normalize) not in (1, 2):
        raise ValueError(
            f"expected normalize to be a name, (mean, std) or (mean,), got {normalize!r}"
        )
    layer = Normalize(*normalize)
    if layer.channels not in (1, in_channels):
        raise ValueError(
            f"expected normalisation constants for {in_channels} channel(s), got "
            f"{layer.channels}; give (mean, std) of your own, or in_channels that fits"
        )
    return layer


def constants_of(text: str) -> Normalization:
    """A normalisation as a command line names it: a name, or means, a colon and deviations.

        constants_of("0.485,0.456,0.406:0.229,0.224,0.225")     # ((0.485, ...), (0.229, ...))
        constants_of("0.5")                                     # ((0.5,),): the mean alone

    Anything that is no such numbers is taken for a name.
    """
    sides = [[part.strip() for part in side.split(",")] for side in text.split(":")]
    if len(sides) > 2 or not all(_NUMBER.fullmatch(part) for side in sides for part in side):
        return text
    numbers = [tuple(float(part) for part in side) for side in sides]
    return (numbers[0],) if len(numbers) == 1 else (numbers[0], numbers[1])


def _per_channel(values: Constants, name: str) -> Tensor:
    try:
        listed = [values] if isinstance(values, (int, float)) else values
        numbers = [float(value) for value in listed]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(math.isfinite(v) for v in numbers):
        raise ValueError(f"expected {name} as finite numbers, one per channel, got {values!r}")
    return torch.tensor(numbers).view(1, -1, 1, 1)
