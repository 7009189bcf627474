"""Where training images come from: resident on the device, or streamed from disk by worker
processes.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rsmooth.data.convert import to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.training.augment import crop_and_flip, draw_crops
from rsmooth.training.draws import UNLABELLED, Draws
from rsmooth.training.recipe import Recipe

# x (B, C, H, W) float32 in [0, 1], targets (B,) or (B, K), ids (B,)
Images = tuple[Tensor, Tensor, Tensor]


class Source(Protocol):
    """A stream of training images of one kind, with its own draws and the weight of its loss."""

    @property
    def draws(self) -> Draws: ...

    @property
    def weight(self) -> float: ...

    def __len__(self) -> int: ...

    def batches(self, shares: Sequence[Tensor], epoch: int) -> Iterator[Images]:
        """The images at each of the given positions, augmented for this epoch, on the device."""
        ...


@dataclass(frozen=True)
class Resident:
    """Images kept on the device at rest (uint8), gathered and augmented there; no worker processes,
    no copies.
    """

    images: Tensor
    targets: Tensor
    ids: Tensor
    draws: Draws
    augment: bool
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, shares: Sequence[Tensor], epoch: int) -> Iterator[Images]:
        if not shares:
            return
        # One transfer and one draw for the whole epoch; splitting on the device copies nothing.
        sizes = [len(share) for share in shares]
        positions = torch.cat(list(shares)).to(self.images.device)
        all_ids = self.ids.index_select(0, positions)
        crops = (
            torch.split(draw_crops(all_ids, epoch, self.draws), sizes)
            if self.augment
            else repeat(None)
        )
        for chosen, ids, crop in zip(
            torch.split(positions, sizes), torch.split(all_ids, sizes), crops, strict=False
        ):
            images = self.images.index_select(0, chosen)
            if crop is not None:
                images = crop_and_flip(images, crop)
            yield to_unit(images), self.targets.index_select(0, chosen), ids


@dataclass(frozen=True)
class Streamed:
    """Images read from disk and cropped by ``workers`` processes while the device trains
    (ImageNet).
    """

    data: FolderData
    draws: Draws
    workers: int
    device: torch.device
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.data)

    def batches(self, shares: Sequence[Tensor], epoch: int) -> Iterator[Images]:
        reader = _Reader(self.data, shares, epoch, self.draws)
        pinned = self.device.type == "cuda"
        workers = min(self.workers, os.cpu_count() or 1)
        for images, targets, ids in DataLoader(
            reader, batch_size=None, num_workers=workers, pin_memory=pinned
        ):
            on_device = images.to(self.device, non_blocking=pinned)
            yield (
                to_unit(on_device),
                targets.to(self.device, non_blocking=pinned),
                ids.to(self.device, non_blocking=pinned),
            )


class _Reader(Dataset[Images]):
    """Item i is the i-th share, each image cropped by a generator of its own so that no batching
    changes it.
    """

    def __init__(
        self, data: FolderData, shares: Sequence[Tensor], epoch: int, draws: Draws
    ) -> None:
        self.data, self.shares, self.epoch, self.draws = data, shares, epoch, draws

    def __len__(self) -> int:
        return len(self.shares)

    def __getitem__(self, item: int) -> Images:
        if item >= len(self):
            raise IndexError(item)
        positions = self.shares[item]
        ids = self.data.index[positions]
        pairs = [
            self.data.batch(position[None], self.draws.generator(self.epoch, int(number)))
            for position, number in zip(positions, ids, strict=True)
        ]
        return (
            torch.cat([image for image, _ in pairs]),
            torch.cat([label for _, label in pairs]),
            ids,
        )


def as_source(
    data: ImageData | FolderData,
    draws: Draws,
    *,
    device: torch.device,
    augment: bool | None,
    workers: int,
) -> Source:
    """The data as a source of training images."""
    if isinstance(data, FolderData):
        return Streamed(data, draws, workers, device)
    return Resident(
        data.images.to(device),
        data.labels.to(device),
        data.index.to(device),
        draws,
        crops(data, augment),
    )


def crops(data: ImageData, augment: bool | None) -> bool:
    """Whether to crop and flip; None means where the images have colour (a flipped digit is no
    digit).
    """
    return data.images.shape[1] == 3 if augment is None else augment


@dataclass(frozen=True)
class PseudoLabels:
    """Images with a teacher's answers.

    data: the images; their labels are the teacher's most probable classes.
    probabilities: (N, K), the teacher's class probabilities, to train on the soft labels; None for
    the hard ones.
    weight: what the loss of a pseudo-labelled batch is multiplied by.
    """

    data: ImageData
    probabilities: Tensor | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(
                f"expected a weight > 0, got {self.weight!r}; leave the images out instead of "
                "weighting "
                "them with 0"
            )

    def source(self, recipe: Recipe, device: torch.device) -> Resident:
        """The images as a source of training batches."""
        data = self.data
        targets = data.labels if self.probabilities is None else self.probabilities
        return Resident(
            data.images.to(device),
            targets.to(device),
            data.index.to(device),
            Draws(recipe.seed, UNLABELLED),
            crops(data, recipe.augment),
            self.weight,
        )

    def fingerprint(self) -> str:
        """Names images, labels and weight in records."""
        digest = hashlib.sha256(f"{self.data.fingerprint()} {self.weight!r}".encode())
        if self.probabilities is not None:
            digest.update(self.probabilities.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Step:
    """One optimiser step: which source, and the positions of its images over all processes."""

    source: int
    positions: Tensor


def plan_epoch(
    sources: Sequence[Source], epoch: int, batch_size: int, num_noise: int
) -> list[Step]:
    """The optimiser steps of an epoch, in order.

    Every image of the first source comes once, in batches of ``batch_size``, each batch in
    ``num_noise`` mini-batches of one step (the last ones may be smaller; none is dropped). Every
    further source gives one batch after each.
    """
    main = list(torch.split(sources[0].draws.order(len(sources[0]), epoch), batch_size))
    turns = [main] + [_enough(source, epoch, len(main), batch_size) for source in sources[1:]]
    return [
        Step(which, part)
        for turn in zip(*turns, strict=True)
        for which, batch in enumerate(turn)
        for part in batch.tensor_split(num_noise)
        if len(part)
    ]


def _enough(source: Source, epoch: int, count: int, batch_size: int) -> list[Tensor]:
    """``count`` whole batches of a source: the first of this epoch's order, or several orders where
    it is short.
    """
    rounds = -(-count * batch_size // len(source))
    orders = [source.draws.order(len(source), epoch * rounds + turn) for turn in range(rounds)]
    return list(torch.split(torch.cat(orders)[: count * batch_size], batch_size))
