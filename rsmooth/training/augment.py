"""Random crops and flips, on the device where the images are, keyed by epoch and image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from rsmooth.training.draws import Draws

PADDING = 4


def draw_crops(ids: Tensor, epoch: int, draws: Draws, visits: Tensor | None = None) -> Tensor:
    """Where to crop each image and whether to flip it: image ids (B,) -> int64 (B, 3).

        images = crop_and_flip(images, draw_crops(ids, epoch, Draws(seed=0)))

    visits: as in ``Draws``. Those of an epoch are best drawn at once: on a GPU a draw of any size
    takes hundreds of kernels.
    """
    return draws.integers(ids, epoch, (2 * PADDING + 1, 2 * PADDING + 1, 2), visits)


def crop_and_flip(images: Tensor, crops: Tensor) -> Tensor:
    """Pad by 4 black pixels, crop to the old size, and flip left-right where ``crops`` says so.

    images: (B, C, H, W) of any dtype; shape and dtype stay. crops: (B, 3) from ``draw_crops``.

    So Cohen et al. 2019 (arXiv:1902.02918) and Salman et al. 2019 (arXiv:1906.04584) train on
    CIFAR-10.
    """
    batch, _, height, width = images.shape
    top, left, flip = crops.unbind(1)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(batch, width)
    columns = left[:, None] + torch.where(flip[:, None] == 1, columns.flip(1), columns)
    padded = pad(images, (PADDING,) * 4)
    which = torch.arange(batch, device=images.device)[:, None, None]
    # Indices around a slice put the channels last; moved back, the batch stays in one gather.
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
