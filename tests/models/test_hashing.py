"""The hash of a network: its layers as printed and its numbers, whatever the release of torch."""

from __future__ import annotations

import re

import torch
from torch import nn

from rsmooth.models.hashing import base_hash, is_base_hash


def net(width: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, width, 1), nn.BatchNorm2d(width), nn.Flatten())


def test_a_hash_is_that_of_numbers_and_layers() -> None:
    assert base_hash(net()) == base_hash(net())
    assert base_hash(net()) != base_hash(net(3))
    changed = net()
    with torch.no_grad():
        changed[1].running_mean[0] = 1e-6
    assert base_hash(changed) != base_hash(net())
    assert base_hash(nn.Sequential(*net(), nn.ReLU())) != base_hash(net())


def test_layers_print_otherwise_in_other_releases_of_torch(monkeypatch) -> None:
    hashed = base_hash(net())
    real = nn.BatchNorm2d.extra_repr

    def extra_repr(layer: nn.BatchNorm2d) -> str:
        printed = real(layer)
        without = re.sub(r", bias=(True|False)", "", printed)
        return (
            without
            if without != printed
            else printed.replace("affine=True", "affine=True, bias=True")
        )

    monkeypatch.setattr(nn.BatchNorm2d, "extra_repr", extra_repr)
    assert base_hash(net()) != hashed
    assert is_base_hash(hashed, net())
    assert not is_base_hash(hashed, net(3))
    assert not is_base_hash(None, net())
