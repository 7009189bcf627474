"""What a network that learned nothing would answer: the same one with its weights in disorder.

Weights that nobody trained were drawn independently within each tensor. So an untrained network and
those with its weights in another order are alike: none of them stands out from the others, but by
chance. Of a trained network the order is what it has learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import nn

from rsmooth.models.state import copied

COUNT = 12  # networks to compare with
Answers = NDArray[np.int64]


def shuffled(net: nn.Module, seed: int) -> nn.Module | None:
    """A copy whose weights are in another order within each tensor; None where it has none.

    shuffled(net, seed=0)
    """
    generator = torch.Generator().manual_seed(seed)
    copy = copied(net)
    movable = [own for own in copy.parameters() if own.is_floating_point() and own.numel() > 1]
    with torch.no_grad():
        for own in movable:
            order = torch.randperm(own.numel(), generator=generator, device="cpu")
            own.copy_(own.flatten()[order.to(own.device)].view_as(own))
    return copy if movable else None


def stands_out(share: float, others: Sequence[float], images: int, level: float) -> bool:
    """Whether a share of images is above the shares of others, at most at ``level`` by chance.

        stands_out(0.9, [0.31, 0.35, 0.28], images=400, level=0.001)

    By the prediction interval of a normal distribution for one more share beside the others, with
    Student's t. Their variance is taken to be that of as many images drawn at random, or more:
    networks that all answer alike vary little on these images.
    """
    count, mean = len(others), float(np.mean(others))
    variance = float(np.var(others, ddof=1)) * (1 + 1 / count) + mean * (1 - mean) / images
    limit = float(scipy.stats.t.ppf(1 - level, count - 1))
    return share > mean + limit * float(np.sqrt(variance))
