"""Checks of tensors from users; each error says what was expected, what came, and what to do."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


def check_tensor(value: object, what: str) -> None:
    """TypeError, naming ``what``, for anything but a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"expected {what} as a torch.Tensor, got "
            f"{type(value).__module__}.{type(value).__name__}; {_as_tensor(value)}"
        )


def _as_tensor(value: object) -> str:
    """How a value becomes a tensor, as a remedy that works on it."""
    if hasattr(value, "train") and hasattr(value, "test"):
        return "give one of its splits, such as data.test"
    if isinstance(value, (Dataset, DataLoader)) or hasattr(value, "images"):
        source = "data.dataset" if isinstance(value, DataLoader) else "data"
        made = source if hasattr(value, "images") else f"rsmooth.data.as_image_data({source})"
        start = "" if made == "data" else f"data = {made}, then "
        return f"give {start}rsmooth.data.to_unit(data.images), or data.labels"
    return "convert with torch.as_tensor"


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
