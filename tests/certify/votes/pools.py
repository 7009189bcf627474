"""A pool of votes of a small network, and slices of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rsmooth.certify import CertifySettings
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import Slice, VotePool
from rsmooth.certify.votes.schedule import open_pool
from tests.certify.nets import small_net

SHAPE = torch.Size((1, 4, 4))


def make_pool(batch: int = 32, **options: Any) -> VotePool:
    g = small_net()
    settings = CertifySettings(
        n=100, batch_size=batch, precision="float32", compile="never", **options
    )
    return open_pool(g, noisy_images("integer", g.noise, 0, SHAPE), SHAPE, settings, 100)


def one(image: Tensor, image_id: int, start: int, stop: int, purpose: str = "estimate") -> Slice:
    return Slice(purpose, image, image_id, start, stop)
