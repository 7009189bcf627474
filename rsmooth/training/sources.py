"""Where training images come from: the device itself, or disks that worker processes read."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rsmooth.data.convert import to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.data.items import AnyData, ItemData
from rsmooth.plumbing.declared import settle_fields
from rsmooth.plumbing.tensors import check_tensor
from rsmooth.training.augment import PADDING, crop_and_flip, draw_crops
from rsmooth.training.draws import UNLABELLED, Draws
from rsmooth.training.recipe import Recipe

# x (B, C, H, W) float32 in [0, 1], targets (B,) or (B, K), ids (B,).
Images = tuple[Tensor, Tensor, Tensor]
# As many as shares; see ``Draws``.
Visits = Sequence[Tensor] | None


class Source(Protocol):
    """A stream of training images of one kind, with its own draws and the weight of its loss."""

    @property
    def draws(self) -> Draws: ...

    @property
    def weight(self) -> float: ...

    def __len__(self) -> int: ...

    def batches(
        self, shares: Sequence[Tensor], epoch: int, visits: Visits = None
    ) -> Iterator[Images]:
        """The images at each of the given positions, augmented for this epoch, on the device."""
        ...


@dataclass(frozen=True)
class Resident:
    """Images kept on the device in uint8, gathered and augmented there."""

    images: Tensor
    targets: Tensor
    ids: Tensor
    draws: Draws
    augment: bool
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self, shares: Sequence[Tensor], epoch: int, visits: Visits = None
    ) -> Iterator[Images]:
        if not shares:
            return
        # One transfer and one draw for the whole epoch; splitting on the device copies nothing.
        sizes = [len(share) for share in shares]
        positions = torch.cat(list(shares)).to(self.images.device)
        ids = self.ids.index_select(0, positions)
        again = None if visits is None else torch.cat(list(visits)).to(ids.device)
        crops = draw_crops(ids, epoch, self.draws, again) if self.augment else None
        start = 0
        for size in sizes:
            part = slice(start, start + size)
            images = self.images.index_select(0, positions[part])
            if crops is not None:
                images = crop_and_flip(images, crops[part])
            yield to_unit(images), self.targets.index_select(0, positions[part]), ids[part]
            start += size


@dataclass(frozen=True)
class Streamed:
    """Images that worker processes read and crop while the device trains, such as ImageNet's.

    augment: whether they are cropped and flipped once more, on the device.
    """

    data: FolderData | ItemData
    draws: Draws
    workers: int
    device: torch.device
    weight: float = 1.0
    augment: bool = False

    def __len__(self) -> int:
        return len(self.data)

    def batches(
        self, shares: Sequence[Tensor], epoch: int, visits: Visits = None
    ) -> Iterator[Images]:
        reader = _Reader(self.data, shares, epoch, self.draws, visits)
        pinned = self.device.type == "cuda"
        workers = min(self.workers, os.cpu_count() or 1)
        loader = DataLoader(
            reader,
            batch_size=None,
            num_workers=workers,
            pin_memory=pinned,
            # Or it draws a number from torch's own, and so do the steps: a run that is resumed
            # within an epoch makes a loader more.
            generator=torch.Generator(),
        )
        for number, (images, targets, ids) in enumerate(loader):
            on_device = images.to(self.device, non_blocking=pinned)
            if self.augment:
                again = None if visits is None else visits[number]
                crops = draw_crops(ids, epoch, self.draws, again).to(self.device)
                on_device = crop_and_flip(on_device, crops)
            yield (
                to_unit(on_device),
                targets.to(self.device, non_blocking=pinned),
                ids.to(self.device, non_blocking=pinned),
            )


class _Reader(Dataset[Images]):
    """Item i is the i-th share; each image has its own generator, so batches change nothing."""

    def __init__(
        self,
        data: FolderData | ItemData,
        shares: Sequence[Tensor],
        epoch: int,
        draws: Draws,
        visits: Visits = None,
    ) -> None:
        self.data, self.shares, self.epoch, self.draws = data, shares, epoch, draws
        self.visits = visits or [torch.zeros_like(share) for share in shares]

    def __len__(self) -> int:
        return len(self.shares)

    def __getitem__(self, item: int) -> Images:
        if item >= len(self):
            raise IndexError(item)
        positions = self.shares[item]
        ids = self.data.index[positions]
        pairs = [
            self.data.batch(one[None], self.draws.generator(self.epoch, int(number), int(visit)))
            for one, number, visit in zip(positions, ids, self.visits[item], strict=True)
        ]
        return (
            torch.cat([image for image, _ in pairs]),
            torch.cat([label for _, label in pairs]),
            ids,
        )


def as_source(
    data: AnyData,
    draws: Draws,
    *,
    device: torch.device,
    augment: bool | None,
    workers: int,
) -> Source:
    """The data as a source of training images."""
    if isinstance(data, FolderData):
        return Streamed(data, draws, workers, device)
    if isinstance(data, ItemData):
        # In this process: nobody knows what somebody's data set holds open. Its transforms crop as
        # they like, so nothing is cropped unasked.
        return Streamed(data, draws, 0, device, augment=bool(augment))
    return Resident(
        data.images.to(device),
        data.labels.to(device),
        data.index.to(device),
        draws,
        crops(data, augment),
    )


def crops(data: ImageData, augment: bool | None) -> bool:
    """Whether to crop and flip.

    As the recipe says, or else the data set, or else for images with colour: a flipped digit is no
    digit. Unasked, no image is cropped that could be moved out of sight.
    """
    if augment is not None:
        return augment
    if data.augment is not None:
        return data.augment
    return data.images.shape[1] == 3 and min(data.images.shape[2:]) >= 2 * PADDING


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Images with the classes that a teacher gave them.

        trainer.fit(g, data.train, unlabelled=pseudo_label(teacher, images, weight=0.5))

    data: the images; their labels are the teacher's most probable classes.
    probabilities: (N, K), the teacher's class probabilities, to train on the soft labels; None for
        the hard ones.
    weight: what the loss of a pseudo-labelled batch is multiplied by, > 0.

    ValueError for a weight out of range, and for probabilities that do not fit the images; in
    ``fit`` for what are no probabilities.
    """

    data: ImageData
    probabilities: Tensor | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        settle_fields(self)
        if not isinstance(self.data, ImageData):
            raise ValueError(
                f"expected pseudo-labelled images as ImageData, got {type(self.data).__name__}; "
                "make them with pseudo_label"
            )
        wanted = (len(self.data), self.data.num_classes)
        if self.probabilities is not None:
            check_tensor(self.probabilities, "class probabilities (N, K)")
            if self.probabilities.shape != wanted:
                raise ValueError(
                    f"expected class probabilities {wanted}, one row per image, got "
                    f"{tuple(self.probabilities.shape)}"
                )
            # Or the teacher would get gradients, too.
            object.__setattr__(self, "probabilities", self.probabilities.detach())
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(
                f"expected a weight > 0, got {self.weight!r}; leave the images out instead of "
                "weighting them with 0"
            )

    def check_values(self) -> None:
        """ValueError unless the probabilities are some; that waits for their device."""
        if self.probabilities is None:
            return
        # Of bfloat16 a sum may be off by a hundredth. NaN is in no range.
        near_one = (self.probabilities.double().sum(dim=1) - 1).abs() < 0.01
        if not bool(((self.probabilities >= 0).all(dim=1) & near_one).all()):
            raise ValueError(
                "expected class probabilities >= 0 that sum to 1 for each image, got others; hand "
                "in the softmax, not logits"
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
            raw = self.probabilities.detach().cpu().contiguous().view(torch.uint8)
            digest.update(raw.numpy().data)
        return digest.hexdigest()[:16]
