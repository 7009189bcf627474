"""Which images an epoch draws: all once, or some more often than others, as a method says."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rsmooth.data.convert import to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.data.items import AnyData
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.draws import Draws


class Looked(NamedTuple):
    """Some training images with noise of their own: positions (B,), x, y and noise as in Batch."""

    positions: Tensor
    x: Tensor
    y: Tensor
    noise: Tensor


@dataclass(frozen=True)
class RunStart:
    """What ``Trainer.make_extras`` is given before a run.

        def make_extras(self, start):
            return {"soft_labels": torch.full((len(start.data), start.data.num_classes), 0.1)}

    g: the classifier that will train, as it is now.
    data: the training images as they are at rest.
    run_dir: the folder of the run, where files may be kept; None without one.
    progress: whether a progress bar is to be shown.
    wait: returns once every process of the run has called it.
    """

    g: SmoothedClassifier
    data: ImageData | FolderData
    run_dir: Path | None
    progress: bool
    wait: Callable[[], None] = field(repr=False)


@dataclass
class EpochStart:
    """What ``Trainer.sample_weights`` is given before an epoch.

        def sample_weights(self, start):
            right = torch.zeros(start.count)
            for seen in start.images(copies=16):
                votes = start.g.log_probs(seen.x.unsqueeze(1) + seen.noise).argmax(dim=2)
                right[seen.positions] = (votes == seen.y[:, None]).float().mean(dim=1).cpu()
            return right

    epoch: from 0.
    progress: in epochs; under a time budget it follows the seconds, while the epoch does not.
    g: the classifier in eval mode.
    count: number of training images.
    state: kept from epoch to epoch and in the checkpoint; plain values and tensors only.
    heed: called between the images; it ends a run that was told to stop. Looks can take minutes.
    """

    epoch: int
    progress: float
    g: SmoothedClassifier
    data: AnyData = field(repr=False)
    draws: Draws = field(repr=False)
    device: torch.device
    state: dict[str, Any]
    heed: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def count(self) -> int:
        """The number of training images."""
        return len(self.data)

    def images(self, *, copies: int = 1, batch_size: int = 256) -> Iterator[Looked]:
        """All training images as they are, not augmented, with ``copies`` noise samples each.

        batch_size: images at a time. The noise is keyed by seed, epoch and image. It is not that of
        the training steps.
        """
        for positions in torch.split(torch.arange(self.count, device="cpu"), batch_size):
            self.heed()
            images, y = self.data.batch(positions)
            x, ids = to_unit(images.to(self.device)), self.data.index[positions].to(self.device)
            noise = self.draws.noise(
                ids, self.epoch, copies, x.shape[1:], self.g.noise, purpose="sample-weights"
            )
            yield Looked(positions, x, y.to(self.device), noise)


def check_weights(weights: Tensor, count: int) -> Tensor:
    """Sampling weights (count,) as float64 on the CPU; ValueError unless >= 0 and not all 0."""
    found = torch.as_tensor(weights, dtype=torch.float64, device="cpu").detach().cpu()
    if found.shape != (count,) or not bool((found >= 0).all()) or not float(found.sum()) > 0:
        raise ValueError(
            f"expected sample_weights to give one weight >= 0 per image ({count},), not all 0, "
            f"got {tuple(found.shape)} from {float(found.min()) if found.numel() else None}"
        )
    if not bool(found.sum().isfinite()):
        raise ValueError("expected finite sampling weights, got infinity, or a sum of it")
    return found


def check_state(state: dict[str, Any]) -> None:
    """ValueError for a state with which no run could go on from its checkpoint."""
    content = io.BytesIO()
    try:
        torch.save(state, content)
        content.seek(0)
        torch.load(content, weights_only=True)
    except Exception as error:  # what cannot be pickled, or read back, says so in a dozen ways
        kinds = ", ".join(f"{key}: {type(value).__name__}" for key, value in state.items())
        raise ValueError(
            "expected sample_weights to keep plain values and tensors in start.state, got "
            f"{{{kinds}}}; a checkpoint takes no others: use .tolist() or torch.as_tensor"
        ) from error


def occurrences(positions: Tensor) -> Tensor:
    """How often each position came before: (N,) -> (N,).

    0 for the first time that an image is drawn, 1 for the second. So its noise and its crop differ
    from those of the first time.
    """
    order = torch.argsort(positions, stable=True)
    ordered = positions[order]
    first = torch.searchsorted(ordered, ordered, right=False)
    before = torch.empty_like(positions)
    before[order] = torch.arange(len(positions), device="cpu") - first
    return before
