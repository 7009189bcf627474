"""Checks of tensors from users; each error says what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

Labels: TypeAlias = Tensor | NDArray[Any] | Sequence[int]
"""Class numbers (B,): integers in a tensor, an array, a list or a tuple."""


def check_tensor(value: object, what: str) -> None:
    """TypeError, naming ``what``, for anything but a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"expected {what} as a torch.Tensor, got "
            f"{type(value).__module__}.{type(value).__name__}; {_as_tensor(value)}"
        )


def _as_tensor(value: object) -> str:
    """How a value becomes a tensor, as a remedy that works on it."""
    return _remedy_of_data(value) or "convert with torch.as_tensor"


def _remedy_of_data(value: object) -> str | None:
    """What to hand over of a data set; None for what is no data set."""
    if hasattr(value, "train") and hasattr(value, "test"):
        return "give one of its splits, such as data.test"
    if isinstance(value, (Dataset, DataLoader)) or hasattr(value, "images"):
        source = "data.dataset" if isinstance(value, DataLoader) else "data"
        made = source if hasattr(value, "images") else f"rsmooth.data.as_image_data({source})"
        start = "" if made == "data" else f"data = {made}, then "
        return f"give {start}rsmooth.data.to_unit(data.images), or data.labels"
    return None


def check_generator(value: object) -> None:
    """TypeError for anything but a generator of torch, or None."""
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(
            f"expected the generator as a torch.Generator or None, got {value!r}; give it e.g. as "
            "torch.Generator().manual_seed(0)"
        )


def check_channels_first(x: Tensor, channels: int | None = None) -> None:
    """ValueError for images whose shape looks like (B, H, W, C).

    It does where the two sizes before the last are above 4, and the last is 3, or 1 after a square.
    channels: how many are known to be right, as of the model that takes them; such images pass.
    """
    if x.ndim != 4 or min(x.shape[1:3]) <= 4 or channels == x.shape[1]:
        return
    if x.shape[3] == 3 or (x.shape[3] == 1 and x.shape[1] == x.shape[2]):
        raise ValueError(
            f"expected images (B, C, H, W), got {tuple(x.shape)}, which look like (B, H, W, C); "
            "use x.permute(0, 3, 1, 2)"
        )


def channels_taken(base: nn.Module) -> int | None:
    """The channels that the first convolution of a network takes; None without one."""
    found = (part.in_channels for part in base.modules() if isinstance(part, nn.Conv2d))
    return next(found, None)


def check_images(
    x: Tensor, bounds: tuple[float, float] = (0.0, 1.0), *, channels: int | None = None
) -> None:
    """Images must be a floating tensor (B, C, H, W) with finite values within ``bounds``.

    channels: as of ``check_channels_first``. ValueError otherwise; TypeError for anything but a
    tensor.
    """
    check_tensor(x, "images (B, C, H, W)")
    check_channels_first(x, channels)
    remedies = [
        *(["divide uint8 images by 255"] if not x.is_floating_point() else []),
        *(["add the batch dimension: x.unsqueeze(0)"] if x.ndim == 3 else []),
    ]
    if remedies or x.ndim != 4:
        raise ValueError(
            f"expected floating-point images (B, C, H, W), got {x.dtype} {tuple(x.shape)}; "
            f"{' and '.join(remedies) or 'give four axes'}"
        )
    if x.numel() == 0:
        return
    low, high = torch.aminmax(x)
    if not (low >= bounds[0] and high <= bounds[1]):  # also catches NaN
        of_bytes = low >= 0 and 16 < high <= 255  # no normalisation leads that far
        raise ValueError(
            f"expected images in [{bounds[0]:g}, {bounds[1]:g}], got values from {low:.4g} to "
            f"{high:.4g}; "
            + (
                "divide them by 255"
                if of_bytes
                else "put the normalisation into the model (rsmooth.models.Normalize), not into "
                "the images"
            )
        )


def as_labels(values: object) -> Tensor:
    """Labels (N,) or (N, 1) of any integer type as int64 (N,); on their device, or the CPU.

        as_labels([3, 1, 4])
        as_labels(np.array([3, 1, 4], np.uint8))

    ValueError for other numbers and shapes, true and false among them; TypeError for a data set.
    """
    if _remedy_of_data(values) is not None:
        check_tensor(values, "labels (B,)")
    labels = whole_numbers(values, "labels")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"expected labels (N,) or (N, 1), got {tuple(labels.shape)}; one-hot labels need "
            "argmax(1)"
        )
    return labels


def check_labels(y: object, batch: int, num_classes: int) -> Tensor:
    """The labels as int64 (B,), within 0..num_classes-1.

        y = check_labels([3, 1, 4], batch=3, num_classes=10)

    Errors as of ``as_labels``; ValueError for another number of them, and beyond the classes.
    """
    labels = as_labels(y)
    if len(labels) != batch:
        raise ValueError(
            f"expected {batch} integer labels (B,), one for each image, got {len(labels)}; check "
            "that images and labels belong together"
        )
    if batch and not (int(labels.min()) >= 0 and int(labels.max()) < num_classes):
        raise ValueError(
            f"expected labels within 0..{num_classes - 1}, got {int(labels.min())}.."
            f"{int(labels.max())}; check num_classes of the SmoothedClassifier"
        )
    return labels


def whole_numbers(values: object, what: str) -> Tensor:
    """Integers of a tensor, an array or a sequence as int64; ValueError for what are none.

    whole_numbers([4, 2], "an index")       # tensor([4, 2])
    """
    numbers = values if isinstance(values, Tensor) else _native(values, what)
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise ValueError(
            f"expected integer {what}, got {numbers.dtype}; where these are whole numbers, give "
            "torch.as_tensor(values).long()"
        )
    return numbers.to(torch.int64)


def _native(values: Any, what: str) -> Tensor:
    """Numbers of any byte order as a tensor on the CPU; ValueError for what are none."""
    if isinstance(values, (list, tuple)):
        values = [each.item() if _is_number(each) else each for each in values]
        if any(isinstance(each, bool) for each in values):  # beside numbers numpy makes it one
            values = np.array([True])
    try:
        array = np.asarray(values, np.int64 if isinstance(values, list) and not values else None)
    except ValueError:  # rows of several lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iufcb":
        raise ValueError(
            f"expected integer {what}, got {array.dtype}; number them from 0, e.g. with "
            "np.unique(values, return_inverse=True)[1]"
        )
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))


def _is_number(value: object) -> bool:
    """Whether it is a tensor or a numpy value that holds a single number."""
    return isinstance(value, (Tensor, np.generic)) and value.ndim == 0


def check_floating(x: object, what: str) -> None:
    """TypeError for anything but a tensor, ValueError for one of integers; both name ``what``."""
    check_tensor(x, what)
    assert isinstance(x, Tensor)
    if not x.is_floating_point():
        raise ValueError(
            f"expected {what} as floating-point numbers in [0, 1], got {x.dtype}; divide uint8 "
            "images by 255"
        )


def are_probabilities(rows: Tensor) -> bool:
    """Whether all rows (N, K) are >= 0 and sum to 1, up to their rounding.

    are_probabilities(logits.softmax(dim=1))        # True

    It waits for their device.
    """
    close = 0.01 if rows.dtype in (torch.float16, torch.bfloat16) else 1e-4
    apart = (rows.double().sum(dim=1) - 1).abs()
    return bool(((rows >= 0).all(dim=1) & (apart < close)).all())
