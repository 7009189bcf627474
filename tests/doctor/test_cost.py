"""Multiply-adds, counted by hand."""

from __future__ import annotations

import torch
from torch import nn

from rsmooth.doctor.cost import multiply_adds

NET = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 25, 7))


def test_a_count_by_hand() -> None:
    assert multiply_adds(NET, torch.zeros(1, 3, 5, 5)) == 25 * 4 * 27 + 700


def test_up_to_a_layer() -> None:
    assert multiply_adds(NET, torch.zeros(1, 3, 5, 5), until=NET[1]) == 25 * 4 * 27
    assert not NET[1]._forward_pre_hooks
    assert not NET[0]._forward_hooks


def test_never_none() -> None:
    assert multiply_adds(nn.Identity(), torch.zeros(1, 3, 5, 5)) == 1
