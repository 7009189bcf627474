"""Images as the certifier stores them, and the ids that identify them in the noise."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.certify.settings import Arithmetic
from rsmooth.data.convert import GRID_TOLERANCE, Convertible, as_image_data
from rsmooth.data.files import FolderData
from rsmooth.data.layout import Layout, as_channels_first
from rsmooth.plumbing.tensors import (
    Labels,
    check_channels_first,
    check_images,
    check_tensor,
    whole_numbers,
)

Given: TypeAlias = Tensor | NDArray[Any] | Convertible | FolderData
"""What certify and predict take as images."""


def given_images(
    x: Given, num_classes: int, channels: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """The images of what a user has, and the index of a data set; None where there is none.

        given_images(np.zeros((8, 3, 32, 32), np.uint8), num_classes=10)

    x: a tensor, which stays as it is; an array (B, C, H, W) or (B, H, W, C) of uint8 or
        floating-point numbers; or whatever ``as_image_data`` takes, with its labels.
    channels: how many the model is known to take; arrays of so many are not (B, H, W, C).
    """
    if isinstance(x, Tensor):
        return x, None
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "uf" or x.ndim != 4:
            raise ValueError(
                f"expected an array of images (B, C, H, W) or (B, H, W, C), uint8 or floats in "
                f"[0, 1], got {x.dtype} {x.shape}"
                + ("; add an axis: x[None] for one image, x[:, None] for grey ones" * (x.ndim == 3))
            )
        images = torch.from_numpy(np.ascontiguousarray(x.astype(x.dtype.newbyteorder("="))))
        first: Layout | None = "channels_first" if channels == x.shape[1] else None
        try:
            return as_channels_first(images, first), None
        except ValueError as error:  # a tensor says it by what it is
            raise ValueError(f"{error}, or a tensor (B, C, H, W) in place of the array") from None
    if isinstance(x, list) or not hasattr(x, "__len__"):
        check_tensor(x, "images (B, C, H, W)")
    data = as_image_data(x, num_classes)
    return data.batch(range(len(data)))[0], data.index


def stored_images(x: Tensor, arithmetic: Arithmetic, channels: int | None = None) -> Tensor:
    """Images on the CPU in the type of the arithmetic: uint8 for "integer", float32 for "float".

        stored_images(torch.rand(8, 3, 32, 32), "float")

    x: (B, C, H, W), uint8 or floating in [0, 1].
    channels: how many the model is known to take; images of so many are not (B, H, W, C).

    ValueError for other values and for channels last. ValueError too for "integer" and values
    between the levels of 8-bit images, since noise on the 8-bit grid says nothing of them.
    TypeError for anything but a tensor.
    """
    check_tensor(x, "images (B, C, H, W)")
    x = x.detach().cpu()
    if x.dtype == torch.uint8:
        check_channels_first(x, channels)
        if x.ndim != 4:
            raise ValueError(
                f"expected images (B, C, H, W), got {tuple(x.shape)}; add the batch dimension with "
                "x[None], or that of channels to grey images with x[:, None]"
            )
        return x if arithmetic == "integer" else x.float() / 255
    check_images(x, channels=channels)
    if arithmetic == "float":
        return x.float()
    levels = x.double() * 255
    distance = float((levels - levels.round()).abs().max()) if x.numel() else 0.0
    if distance > GRID_TOLERANCE:
        raise ValueError(
            "expected 8-bit images (multiples of 1/255) with arithmetic='integer', got values "
            f"{distance:.3g} of a level away from them; round the images to 8 bits, or choose "
            "arithmetic='float', which is not sound in floating point"
        )
    return levels.round().to(torch.uint8)


def image_ids(images: Tensor, index: Labels | None) -> Tensor:
    """What identifies each image in the noise: int64 (B,).

        image_ids(images, torch.tensor([3, 23]))      # the index itself
        image_ids(images, None)                       # 63 bits of a hash of the pixels

    ValueError for an index that is not B integers >= 0.
    """
    if index is not None:
        found = whole_numbers(index, "index").detach().cpu()
        # Unsigned numbers beyond 63 bits have become negative.
        if found.shape != (len(images),) or bool((found < 0).any()):
            raise ValueError(
                f"expected an index of {len(images)} integers >= 0 (B,), got "
                f"{tuple(found.shape)}{' with negative ones' * bool((found < 0).any())}; give each "
                "image a number of its own"
            )
        return found
    content = [_content_id(image) for image in images]
    return torch.tensor(content, dtype=torch.int64, device="cpu")


def _content_id(image: Tensor) -> int:
    content = f"{image.dtype} {tuple(image.shape)}".encode() + image.contiguous().numpy().tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1
