"""The images that a network is tried on, and the normalisations that are tried on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rsmooth.models.normalize import NORMALIZATIONS, Normalization, normalization_layer

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData

MOST = 400

# What common training code uses beside the names that rsmooth has.
_COMMON: dict[str, Normalization] = {
    "0.5,0.5,0.5:0.5,0.5,0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0.485,0.456,0.406:0.225,0.225,0.225": ((0.485, 0.456, 0.406), (0.225, 0.225, 0.225)),
}
_GREY: dict[str, Normalization] = {
    "none": None,
    "0.5:0.5": ((0.5,), (0.5,)),
    "0.1307:0.3081": ((0.1307,), (0.3081,)),  # MNIST, as PyTorch's example has it
}


@dataclass(frozen=True)
class Sample:
    """Some images of a data set, with their classes, and the options that name it.

    x: (N, C, H, W) in [0, 1]. labels: (N,). num_classes: of the data set. options: such as
    ``--dataset digits``, for commands. images: how many the split has.
    """

    x: Tensor
    labels: Tensor
    num_classes: int
    options: str
    images: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.x.shape[1:])


def sample(data: ImageData | FolderData, options: str = "", most: int = MOST) -> Sample:
    """At most so many images of a split, evenly spread over it.

    sample(load_dataset("digits").test, "--dataset digits")
    """
    step = -(-len(data) // most)
    images, labels = data.batch(list(range(0, len(data), step)))
    x = images if images.is_floating_point() else images.float() / 255
    return Sample(x.float(), labels.long(), int(data.num_classes), options, len(data))


def candidates(x: Tensor, stored: Normalization = None) -> dict[str, nn.Module]:
    """The normalisations to try on images (N, C, H, W), by what ``--normalize`` calls them.

    candidates(torch.rand(8, 3, 32, 32))["cifar10"]

    stored: what the file holds, first of all.
    """
    channels = int(x.shape[1])
    named = {**NORMALIZATIONS, **_COMMON} if channels == 3 else _GREY
    found: dict[str, Normalization] = {}
    if stored is not None:
        found["stored"] = stored
    own = own_constants(x)
    found |= {**named, written(own): own}
    return {name: normalization_layer(value, channels) for name, value in found.items()}


def own_constants(x: Tensor) -> Normalization:
    """Mean and deviation of the pixels of each channel of images, to three digits."""
    values = x.transpose(0, 1).flatten(1).double()
    mean = tuple(round(float(each), 3) for each in values.mean(dim=1))
    std = tuple(max(round(float(each), 3), 0.001) for each in values.std(dim=1))
    return mean, std


def written(constants: Normalization) -> str:
    """Constants as ``--normalize`` takes them: a name, or means, a colon and deviations.

    written(((0.5,), (0.25,)))      # "0.5:0.25"
    """
    if constants is None or isinstance(constants, str):
        return constants or "none"
    sides = [
        side if isinstance(side, (tuple, list)) else [side]
        for side in constants
        if side is not None
    ]
    return ":".join(",".join(f"{float(value):g}" for value in side) for side in sides)  # type: ignore[arg-type]


def noisy(x: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """Images under Gaussian noise, the same for the same seed."""
    return x + sigma * torch.randn(
        x.shape, generator=torch.Generator().manual_seed(seed), device="cpu"
    )
