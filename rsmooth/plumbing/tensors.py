"""Checks of tensors from users; each error says what was expected, what came, and what to do."""

from __future__ import annotations

import torch
from torch import Tensor


def check_tensor(value: object, what: str) -> None:
    """TypeError, naming ``what``, for anything but a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"expected {what} as a torch.Tensor, got "
            f"{type(value).__module__}.{type(value).__name__}; convert with torch.as_tensor"
        )


def check_generator(value: object) -> None:
    """TypeError for anything but a generator of torch, or None."""
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(
            f"expected the generator as a torch.Generator or None, got {value!r}; give it e.g. as "
            "torch.Generator().manual_seed(0)"
        )


def check_channels_first(x: Tensor) -> None:
    """ValueError for images whose shape looks like (B, H, W, C).

    It does where the last size is 1 or 3, and the two before it are above 4.
    """
    if x.ndim == 4 and x.shape[3] in (1, 3) and min(x.shape[1:3]) > 4:
        raise ValueError(
            f"expected images (B, C, H, W), got {tuple(x.shape)}, which look like (B, H, W, C); "
            "use x.permute(0, 3, 1, 2)"
        )


def check_images(x: Tensor, bounds: tuple[float, float] = (0.0, 1.0)) -> None:
    """Images must be a floating tensor (B, C, H, W) with finite values within ``bounds``.

    ValueError otherwise; TypeError for anything but a tensor.
    """
    check_tensor(x, "images (B, C, H, W)")
    check_channels_first(x)
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f"expected floating-point images (B, C, H, W), got {x.dtype} {tuple(x.shape)}; "
            "divide uint8 images by 255 and add the batch dimension"
        )
    if x.numel() == 0:
        return
    low, high = torch.aminmax(x)
    if not (low >= bounds[0] and high <= bounds[1]):  # also catches NaN
        raise ValueError(
            f"expected images in [{bounds[0]:g}, {bounds[1]:g}], got values from {low:.4g} to "
            f"{high:.4g}; put the normalisation into the model (rsmooth.models.Normalize), not "
            "into the images"
        )


def check_labels(y: Tensor, batch: int, num_classes: int) -> None:
    """Labels must be an integer tensor (B,) within 0..num_classes-1.

    ValueError otherwise; TypeError for anything but a tensor.
    """
    check_tensor(y, "labels (B,)")
    if (
        y.ndim != 1
        or len(y) != batch
        or y.is_floating_point()
        or y.is_complex()
        or y.dtype == torch.bool
    ):
        raise ValueError(f"expected {batch} integer labels (B,), got {y.dtype} {tuple(y.shape)}")
    if batch and not (int(y.min()) >= 0 and int(y.max()) < num_classes):
        raise ValueError(
            f"expected labels within 0..{num_classes - 1}, got {int(y.min())}..{int(y.max())}; "
            "check num_classes of the SmoothedClassifier"
        )
