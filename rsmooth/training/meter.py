"""The metrics of an epoch, summed on the device, and the noisy accuracy on held-out images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rsmooth.data.convert import to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.state import frozen
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import VALIDATION, Draws

# Loss, right predictions, predictions, images. After them: K predicted and K labelled classes.
SUMS = 4


class Meter:
    """Sums over the images of an epoch.

        meter = Meter(num_classes=10, device=device)
        meter.add(losses, log_probs, y)
        Totals(meter, ranks).accuracy

    Nothing is fetched from the device until ``totals`` is read.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.num_classes = num_classes
        self.totals = torch.zeros(SUMS + 2 * num_classes, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, losses: Tensor, log_probs: Tensor | None, y: Tensor) -> None:
        """Add a mini-batch: losses (B,), log_probs (B, M, K), labels (B,).

        log_probs: None from a method that makes no pass of the classifier. Then nothing is known
        of its predictions.
        """
        self.totals[0] += losses.sum().double()
        self.totals[3] += len(y)
        one = torch.ones((), dtype=torch.float64, device=y.device)
        if log_probs is not None:
            predicted = log_probs.argmax(dim=2)
            self.totals[1] += (predicted == y[:, None]).sum().double()
            self.totals[2] += predicted.numel()
            self.totals.scatter_add_(0, SUMS + predicted.flatten(), one.expand(predicted.numel()))
        self.totals.scatter_add_(0, SUMS + self.num_classes + y, one.expand(len(y)))


class Totals:
    """What a meter has summed up over all processes, as plain numbers."""

    def __init__(self, meter: Meter, ranks: Ranks) -> None:
        numbers: list[float] = ranks.total(meter.totals).tolist()
        self.loss, self.right, self.predictions, self.images = numbers[:SUMS]
        self.predicted = numbers[SUMS : SUMS + meter.num_classes]
        self.labels = numbers[SUMS + meter.num_classes :]

    @property
    def mean_loss(self) -> float:
        return self.loss / max(self.images, 1)

    @property
    def accuracy(self) -> float | None:
        """The share of right predictions; None where nothing was predicted."""
        return self.right / self.predictions if self.predictions else None


@torch.no_grad()
def evaluate(
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    *,
    seed: int,
    batch_size: int,
    device: torch.device,
    ranks: Ranks,
) -> Totals:
    """What the base classifier predicts in eval mode at one noisy copy of each image.

    seed: of the noise, which is so the same in every epoch.
    """
    meter, draws = Meter(g.num_classes, device), Draws(seed, VALIDATION)
    with frozen(g):
        for positions in _batches(len(data), batch_size, ranks):
            images, y = data.batch(positions)
            x, y, ids = to_unit(images.to(device)), y.to(device), data.index[positions].to(device)
            points = x.unsqueeze(1) + draws.noise(ids, 0, 1, x.shape[1:], g.noise)
            log_probs = g.log_probs(points)
            meter.add(-log_probs[torch.arange(len(y), device=device), 0, y], log_probs, y)
    return Totals(meter, ranks)


def _batches(count: int, batch_size: int, ranks: Ranks) -> Iterator[Tensor]:
    for positions in torch.split(torch.arange(count), batch_size):
        share = ranks.share(positions)
        if len(share):
            yield share
