"""Votes on noisy copies of many images, drawn in passes of one size, counted on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.noisy import NoisyImages
from rsmooth.noise.keys import check_counters

LAST_SAMPLE = 2**32 - 1  # what fills the last pass must have a counter too


@dataclass(frozen=True)
class Slice:
    """Copies start..stop-1 of one image (C, H, W) in the noise stream ``purpose``.

    Slice("estimate", image, image_id=3, start=0, stop=1000)
    """

    purpose: str
    image: Tensor
    image_id: int
    start: int
    stop: int


class VotePool:
    """Counts votes of the base classifier; copies of several images share a pass.

    VotePool(network, source, shape).count([Slice("estimate", image, 3, 0, 1000)])

    operations: of the base classifier per noisy image, if they are known.
    """

    def __init__(
        self,
        network: FixedBatchNetwork,
        source: NoisyImages,
        shape: torch.Size,
        operations: float = 0.0,
    ) -> None:
        self.network = network
        self.source = source
        self.shape = shape
        self.operations = operations

    def count(self, work: Sequence[Slice]) -> NDArray[np.int64]:
        """Votes of each slice: int64 (len(work), K + 1).

        The last column counts copies on which a logit was not finite. ValueError for an image id or
        a sample that does not fit its counter.
        """
        # Checked on the host, where no pass has to wait for the answer.
        numbers = [(piece.image_id, piece.stop - 1) for piece in work]
        counters = torch.tensor(numbers, dtype=torch.int64, device="cpu").view(-1, 2)
        check_counters(counters[:, 0], counters[:, 1])
        votes = np.zeros((len(work), self.network.num_classes + 1), dtype=np.int64)
        for purpose in sorted({piece.purpose for piece in work}):
            rows = [row for row, piece in enumerate(work) if piece.purpose == purpose]
            votes[rows] = self._count(purpose, [work[row] for row in rows]).cpu().numpy()
        return votes

    @torch.inference_mode(False)
    @torch.no_grad()
    def _count(self, purpose: str, work: list[Slice]) -> Tensor:
        """The slices end to end, cut into passes.

        The last pass is filled up with copies that nobody counts.
        """
        device, batch = self.network.device, self.network.batch
        answers = self.network.num_classes + 1
        images = torch.stack([piece.image for piece in work]).to(device)
        ids = torch.tensor([piece.image_id for piece in work], device=device)
        ends = torch.tensor([piece.stop - piece.start for piece in work], device=device).cumsum(0)
        total = sum(piece.stop - piece.start for piece in work)
        to_sample = torch.tensor([piece.stop for piece in work], device=device) - ends
        votes = torch.zeros((len(work) + 1) * answers, dtype=torch.int64, device=device)
        ones = torch.ones(batch, dtype=torch.int64, device=device)
        for begin in range(0, total, batch):
            place = torch.arange(begin, begin + batch, device=device)
            row = torch.searchsorted(ends, place, right=True)  # len(work): only fills the pass
            real = row.clamp(max=len(work) - 1)
            samples = (to_sample[real] + place).clamp(max=LAST_SAMPLE)
            points = self.source.points(purpose, images[real], ids[real], samples)
            votes.index_add_(0, row * answers + self.network(points), ones)
        return votes.view(-1, answers)[:-1]
