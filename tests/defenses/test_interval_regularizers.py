"""The penalties of fast IBP by hand, and where they have no gradient to give."""

from __future__ import annotations

import pytest
import torch

from rsmooth.bounds import Interval
from rsmooth.defenses import balance_penalty, tightness_penalty


def interval(lower: list[float], upper: list[float]) -> Interval:
    return Interval(
        torch.tensor([lower], dtype=torch.float64, requires_grad=True),
        torch.tensor([upper], dtype=torch.float64, requires_grad=True),
    )


def test_tightness_compares_mean_radii_with_those_of_the_images() -> None:
    box = interval([0.0, 0.4], [0.2, 0.6])  # mean radius 0.1
    layers = [interval([0.0, 0.0], [0.4, 0.8]), interval([-1.0, 0.0], [1.0, 1.0])]
    # Radii 0.3 and 0.75: ratios 1/3 and 2/15, tolerance 1/2.
    by_hand = ((0.5 - 1 / 3) / 0.5 + (0.5 - 2 / 15) / 0.5) / 2
    assert tightness_penalty(box, layers, tolerance=0.5).item() == pytest.approx(by_hand)
    assert tightness_penalty(box, layers[:1], tolerance=0.3).item() == 0.0


def test_balance_compares_active_with_inactive_neurons() -> None:
    # Centres 2 and 1 are active, -1 is inactive, 0 is unstable; their mean is 0.5.
    layer = interval([1.0, 0.5, -1.5, -1.0], [3.0, 1.5, -0.5, 1.0])
    sizes, spreads = (1 / 4) / (3 / 4), 2.25 / (2.25 + 0.25)
    by_hand = (0.5 - sizes) / 0.5 + 0.0
    assert spreads > 0.5
    assert balance_penalty([layer], tolerance=0.5).item() == pytest.approx(by_hand)
    wide = (1.0 - sizes) + (1.0 - spreads)
    assert balance_penalty([layer], tolerance=1.0).item() == pytest.approx(wide)


def test_layers_of_one_kind_only_give_finite_gradients() -> None:
    for layer in (
        interval([-1.0, -1.0], [1.0, 1.0]),
        interval([1.0, 2.0], [2.0, 3.0]),
        interval([-2.0, -3.0], [-1.0, -2.0]),
    ):
        penalty = balance_penalty([layer], tolerance=0.5)
        penalty = penalty + tightness_penalty(layer, [layer], tolerance=0.5)
        penalty.backward()
        assert penalty.isfinite()
        for end in (layer.lower, layer.upper):
            assert end.grad is not None
            assert end.grad.isfinite().all()


def test_an_image_without_perturbation_costs_a_constant() -> None:
    point = interval([0.3, 0.6], [0.3, 0.6])
    penalty = tightness_penalty(point, [point], tolerance=0.5)
    penalty.backward()
    assert penalty.item() == 1.0
    assert point.lower.grad is not None
    assert point.lower.grad.isfinite().all()
