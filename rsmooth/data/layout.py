"""Which axis of an array of images holds the channels: as said, or where only one can."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

import numpy as np
from torch import Tensor

Layout = Literal["channels_first", "channels_last"]
Images = TypeVar("Images", Tensor, np.ndarray[Any, Any])


def as_channels_first(images: Images, layout: Layout | None = None) -> Images:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) as (N, C, H, W).

        as_channels_first(np.zeros((50, 32, 32, 3), np.uint8)).shape      # (50, 3, 32, 32)

    layout: "channels_first" or "channels_last", as it is. None takes the one end that can hold
        channels: 3 of them, 1 (at the end only of square images), or else 2 or 4.

    ValueError for an array in which both ends can, or neither, and for another number of axes.
    """
    if layout is not None and layout not in get_args(Layout):
        raise ValueError(f"expected layout channels_first or channels_last, got {layout!r}")
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise ValueError(
            f"expected images (N, H, W, C), (N, C, H, W) or (N, H, W), got {tuple(images.shape)}"
        )
    if (layout or _guessed(tuple(images.shape))) == "channels_first":
        return images
    return images.movedim(-1, 1) if isinstance(images, Tensor) else np.moveaxis(images, -1, 1)


def _guessed(shape: tuple[int, ...]) -> Layout:
    _, first, middle, last = shape
    usual = first in (1, 3), last == 3 or (last == 1 and first == middle)
    rare = first in (2, 4), last in (2, 4)
    for at_first, at_last in (usual, rare):
        if at_first != at_last:
            return "channels_first" if at_first else "channels_last"
        if at_first:
            break
    raise ValueError(
        f"expected images whose channels are at one end, got {shape}, where that is not plain; "
        "say it with as_image_data((images, labels), layout='channels_first') for (N, C, H, W), or "
        "layout='channels_last' for (N, H, W, C)"
    )
