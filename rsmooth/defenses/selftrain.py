"""Self-training: a teacher labels images that have no labels, and a student trains on them too.

Carmon et al. 2019 (arXiv:1905.13736), in the form of Salman et al. 2019 (arXiv:1906.04584), section
4.2. Whole batches of labelled and pseudo-labelled images take turns. Each has its own optimiser
steps. The loss of a pseudo-labelled batch is multiplied by ``weight``.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rsmooth.data.convert import as_image_data, to_unit
from rsmooth.data.images import ImageData
from rsmooth.models.state import device_of, frozen
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.smoothed import SmoothedClassifier, check_smoothed
from rsmooth.training.draws import UNLABELLED, Draws
from rsmooth.training.sources import PseudoLabels


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
    """Label images by a teacher's mean softmax over its num_noise noisy copies.

        unlabelled = pseudo_label(teacher, images, confidence=0.8)
        Trainer().fit(g, data.train, unlabelled=unlabelled)

    images: (N, C, H, W), uint8 or in [0, 1]. Labels that they came with are ignored.
    soft: keep the class probabilities as targets, and not only the most probable class.
    confidence: leave out images whose most probable class has a smaller probability; ValueError if
        none remains.
    weight: what the loss of these images is multiplied by.
    batch_size: images at a time. The noise is keyed by seed and image, so it changes the speed
        alone.
    """
    check_smoothed(teacher)
    check_sizes(batch_size=batch_size)
    if not isinstance(images, ImageData):
        images = as_image_data(
            (images, torch.zeros(len(images), dtype=torch.int64, device="cpu")), teacher.num_classes
        )
    device = device_of(teacher)
    probabilities = torch.empty(0, device="cpu")
    with frozen(teacher):
        for positions in torch.split(torch.arange(len(images), device="cpu"), batch_size):
            found = _mean_softmax(teacher, images, positions, Draws(seed, UNLABELLED), device)
            if not len(probabilities):
                # One tensor for all: small ones in between would keep the memory of each batch in
                # pieces. Its type is that of the answers, which no parameter need have.
                probabilities = found.new_empty((len(images), found.shape[1]), device="cpu")
            probabilities[positions] = found.cpu()
    best, labels = probabilities.max(dim=1)
    kept = (best >= confidence).nonzero().flatten()
    if not len(kept):
        raise ValueError(
            f"expected images that the teacher is sure of, got none of {len(images)} with a "
            f"probability >= {confidence:g}; lower confidence"
        )
    data = replace(images.subset(kept), labels=labels[kept], num_classes=teacher.num_classes)
    return PseudoLabels(data, probabilities[kept] if soft else None, weight)


def _mean_softmax(
    teacher: SmoothedClassifier,
    images: ImageData,
    positions: Tensor,
    draws: Draws,
    device: torch.device,
) -> Tensor:
    x, ids = to_unit(images.images[positions].to(device)), images.index[positions].to(device)
    noise = draws.noise(ids, 0, teacher.num_noise, x.shape[1:], teacher.noise)
    return teacher.log_probs(x.unsqueeze(1) + noise).exp().mean(dim=1)
