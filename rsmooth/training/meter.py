"""The metrics of an epoch, summed on the device, and the noisy accuracy on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from rsmooth.data.convert import to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.state import frozen
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import VALIDATION, Draws

# Loss, right predictions, predictions, images. After them: K predicted and K labelled classes, and
# the figures that the method notes.
SUMS = 4

Certified = Callable[[SmoothedClassifier, Tensor, Tensor], Tensor]


class Meter:
    """Sums over the images of an epoch.

        meter = Meter(num_classes=10, device=device)
        meter.add(losses, log_probs, y)
        Totals(meter, ranks).accuracy

    Nothing is fetched from the device until ``totals`` is read.
    """

    def __init__(self, num_classes: int, device: torch.device, figures: Sequence[str] = ()) -> None:
        self.num_classes, self.figures = num_classes, tuple(figures)
        size = SUMS + 2 * num_classes + len(self.figures)
        self.totals = torch.zeros(size, dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(
        self,
        losses: Tensor,
        log_probs: Tensor | None,
        y: Tensor,
        notes: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Add a mini-batch: losses (B,), log_probs (B, M, K), labels (B,), notes of (B,) each.

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
        for number, name in enumerate(self.figures, SUMS + 2 * self.num_classes):
            self.totals[number] += (notes or {})[name].sum().double()


class Totals:
    """What a meter has summed up over all processes, as plain numbers."""

    def __init__(self, meter: Meter, ranks: Ranks) -> None:
        numbers: list[float] = ranks.total(meter.totals).tolist()
        self.loss, self.right, self.predictions, self.images = numbers[:SUMS]
        self.predicted = numbers[SUMS : SUMS + meter.num_classes]
        self.labels = numbers[SUMS + meter.num_classes : SUMS + 2 * meter.num_classes]
        sums = numbers[SUMS + 2 * meter.num_classes :]
        self._figures = dict(zip(meter.figures, sums, strict=True))

    @property
    def mean_loss(self) -> float:
        return self.loss / max(self.images, 1)

    @property
    def figures(self) -> dict[str, float]:
        """The mean of each noted figure over the images."""
        return {name: total / max(self.images, 1) for name, total in self._figures.items()}

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


@torch.no_grad()
def certified_share(
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    certified: Certified,
    *,
    batch_size: int,
    device: torch.device,
    ranks: Ranks,
) -> float:
    """The share of images for which ``certified`` (g, x, y) -> (B,) holds, g in eval mode."""
    training = g.training
    g.eval()
    held = torch.zeros((), dtype=torch.float64, device=device)
    for positions in _batches(len(data), batch_size, ranks):
        images, y = data.batch(positions)
        held += certified(g, to_unit(images.to(device)), y.to(device)).sum()
    g.train(training)
    return float(ranks.total(held)) / len(data)


def _batches(count: int, batch_size: int, ranks: Ranks) -> Iterator[Tensor]:
    for positions in torch.split(torch.arange(count, device="cpu"), batch_size):
        share = ranks.share(positions)
        if len(share):
            yield share
