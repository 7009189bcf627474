"""Self-training: a teacher labels images that have no labels, and a student trains on them, too.

Carmon et al. 2019 (arXiv:1905.13736), as Salman et al. 2019 (arXiv:1906.04584), section 4.2, use
it: whole batches of labelled and pseudo-labelled images take turns, each its own optimiser step,
the latter's loss times ``weight``.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.data import ImageData, as_image_data, to_unit
from rsmooth.defenses.base import Trainer
from rsmooth.defenses.draws import UNLABELLED, Draws
from rsmooth.defenses.sources import Resident, crops
from rsmooth.smoothed import SmoothedClassifier


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

    def source(self, trainer: Trainer, device: torch.device) -> Resident:
        """The images as a source of training batches."""
        data = self.data
        targets = data.labels if self.probabilities is None else self.probabilities
        return Resident(
            data.images.to(device),
            targets.to(device),
            data.index.to(device),
            Draws(trainer.seed, UNLABELLED),
            crops(data, trainer.augment),
            self.weight,
        )

    def fingerprint(self) -> str:
        """Names images, labels and weight in records."""
        digest = hashlib.sha256(f"{self.data.fingerprint()} {self.weight!r}".encode())
        if self.probabilities is not None:
            digest.update(self.probabilities.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]


@torch.no_grad()
def pseudo_label(
    teacher: SmoothedClassifier,
    images: Tensor | ImageData,
    *,
    soft: bool = False,
    confidence: float = 0.0,
    weight: float = 1.0,
    batch_size: int = 16,
    seed: int = 0,
) -> PseudoLabels:
    """Label images (N, C, H, W), uint8 or in [0, 1], by the teacher's mean softmax over its
    num_noise noisy copies.

    soft: keep the class probabilities as targets, not only the most probable class. confidence:
    leave out images whose most probable class has less than this probability; ValueError if none
    remains. Labels that the images came with are not looked at. The noise is keyed by seed and
    image, so batch_size changes nothing but the speed.
    """
    if not isinstance(images, ImageData):
        images = as_image_data(
            (images, torch.zeros(len(images), dtype=torch.int64)), teacher.num_classes
        )
    device = next(teacher.parameters()).device
    training = teacher.training
    teacher.eval()
    parts = [
        _mean_softmax(teacher, images, positions, Draws(seed, UNLABELLED), device)
        for positions in torch.split(torch.arange(len(images)), batch_size)
    ]
    teacher.train(training)
    probabilities = torch.cat(parts).cpu()
    best, labels = probabilities.max(dim=1)
    kept = (best >= confidence).nonzero().flatten()
    if not len(kept):
        raise ValueError(
            f"expected images that the teacher is sure of, got none of {len(images)} with a "
            "probability "
            f">= {confidence:g}; lower confidence"
        )
    data = ImageData(
        images.images[kept],
        labels[kept],
        images.index[kept],
        teacher.num_classes,
        images.name,
        images.split,
    )
    return PseudoLabels(data, probabilities[kept] if soft else None, weight)


def _mean_softmax(
    teacher: SmoothedClassifier,
    images: ImageData,
    positions: Tensor,
    draws: Draws,
    device: torch.device,
) -> Tensor:
    x, ids = to_unit(images.images[positions].to(device)), images.index[positions].to(device)
    noise = draws.noise(ids, 0, teacher.num_noise, x.shape[1:], teacher.sigma)
    return teacher.log_probs(x.unsqueeze(1) + noise).exp().mean(dim=1)
