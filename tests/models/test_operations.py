"""Operations of a network are counted by hand-checked formulas, in the calling thread alone."""

from __future__ import annotations

import threading

import torch
from torch import nn

from rsmooth.models.operations import counted_operations


def test_a_convolution_and_a_matrix_product_are_counted() -> None:
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(80, 7))
    with counted_operations() as operations, torch.no_grad():
        net(torch.rand(2, 3, 4, 4))
    # A multiplication and an addition for each weight and place.
    assert operations.total == 2 * (2 * 5 * 16 * 3 * 9 + 2 * 80 * 7)


def test_other_threads_are_not_counted() -> None:
    net = nn.Linear(4, 4)
    with counted_operations() as operations:
        thread = threading.Thread(target=lambda: net(torch.rand(8, 4)))
        thread.start()
        thread.join()
    assert operations.total == 0
