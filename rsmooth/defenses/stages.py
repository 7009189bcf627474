"""Stages of an ensemble: a later one learns the images that no earlier one certifies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rsmooth.data.convert import to_unit
from rsmooth.data.images import ImageData
from rsmooth.defenses.bound_training import BoundTraining, proven
from rsmooth.models.state import dtype_of, frozen
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.smoothed import SmoothedClassifier


@torch.no_grad()
def uncertified(
    trainer: BoundTraining,
    stages: Sequence[SmoothedClassifier],
    images: ImageData,
    *,
    batch_size: int = 50,
) -> ImageData:
    """The images for which none of the earlier stages certifies its own answer.

        later = uncertified(trainer, [first], data.train)
        trainer.fit(second, later)

    trainer: whose epsilon and bound decide, also where that is an estimate (random projections):
        what a stage learns needs no certificate.
    stages: classifiers without noise. batch_size: images at a time.

    Wong et al. 2018 (arXiv:1805.12514), section 3.3. ValueError for noise, and if none remains.
    """
    check_sizes(batch_size=batch_size)
    for stage in stages:
        trainer.check_noise(stage.noise)
        trainer.check_base(stage.base)
    held = torch.cat(
        [
            _held(trainer, stages, images, part)
            for part in torch.split(torch.arange(len(images), device="cpu"), batch_size)
        ]
    )
    if bool(held.all()):
        raise ValueError(
            f"expected images that no earlier stage certifies, got none of {len(images)}; the "
            "ensemble is complete, or take a larger epsilon"
        )
    return images.subset((~held).nonzero().flatten())


def _held(
    trainer: BoundTraining,
    stages: Sequence[SmoothedClassifier],
    images: ImageData,
    positions: Tensor,
) -> Tensor:
    """Whether any stage certifies its own answer: positions (B,) -> (B,)."""
    found = torch.zeros(len(positions), dtype=torch.bool, device="cpu")
    for stage in stages:
        device = next(stage.parameters()).device
        x = to_unit(images.images[positions].to(device))
        x = x.to(dtype_of(stage, x.dtype))
        with frozen(stage):
            said = stage.base(x).argmax(dim=1)
            found |= proven(trainer.margins_of(stage.base, x, said), said).cpu()
    return found
