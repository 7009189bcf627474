"""The best speed of a network, against figures worked out by hand."""

from __future__ import annotations

import pytest
from torch import nn

from rsmooth.benchmarks.roofline import BYTES_A_SECOND, FLOP_A_SECOND, images_a_second
from rsmooth.registry import MODELS


def test_one_convolution_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    traffic = 2 * (3 + 4) * 8 * 8 / BYTES_A_SECOND
    assert images_a_second(net, (3, 8, 8)) == pytest.approx(1 / traffic)
    wide = nn.Conv2d(1024, 1024, 3, padding=1)
    assert images_a_second(wide, (1024, 8, 8)) == pytest.approx(
        FLOP_A_SECOND / (2 * 9 * 1024 * 1024 * 64)
    )


@pytest.mark.parametrize(
    ("name", "side", "rate"), [("resnet20", 32, 4.2e6), ("resnet110", 32, 785e3)]
)
def test_published_networks(name: str, side: int, rate: float) -> None:
    """1.0 and 5.3 MB an image; the last stage is held up by arithmetic."""
    assert images_a_second(MODELS.create(name, num_classes=10), (3, side, side)) == pytest.approx(
        rate, rel=0.02
    )
