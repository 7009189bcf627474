"""Torchvision's ResNet-50 under its published name and size."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from rsmooth.registry import MODELS
from tests.models.helpers import count_multiply_adds


def test_resnet50_has_its_published_size():
    model = MODELS.create("resnet50")
    assert sum(p.numel() for p in model.parameters()) == 25_557_032
    multiply_adds = count_multiply_adds(model, torch.rand(1, 3, 224, 224))
    assert multiply_adds == pytest.approx(4.087e9, rel=2e-3)


def test_it_is_torchvisions_network_behind_the_normalisation():
    model = MODELS.create("resnet50", num_classes=7, normalize="imagenet").eval()
    net = models.resnet50(weights=None, num_classes=7).eval()
    net.load_state_dict(model[1].state_dict())
    x = torch.rand(2, 3, 64, 64)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.no_grad():
        torch.testing.assert_close(model(x), net((x - mean) / std))
