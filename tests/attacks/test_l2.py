"""The l2 geometry: exact values, and invariants over random tensors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from rsmooth.attacks import l2


def random(seed, *shape, scale=1.0):
    return (
        torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        * scale
    )


def test_norms_by_hand():
    v = torch.tensor([[3.0, 4.0], [0.0, 0.0]]).view(2, 1, 1, 2)
    assert l2.norms(v).flatten().tolist() == [5.0, 0.0]
    assert l2.norms(v).shape == (2, 1, 1, 1)


def test_unit_by_hand():
    v = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64).view(2, 1, 1, 2)
    fallback = torch.tensor([0.0, 1.0], dtype=torch.float64).view(1, 1, 1, 2)
    assert_close(l2.unit(v).flatten().tolist(), [0.6, 0.8, 0.0, 0.0])
    assert_close(l2.unit(v, fallback).flatten().tolist(), [0.6, 0.8, 0.0, 1.0])


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_unit_survives_squares_that_leave_float32(scale):
    v = random(0, 2, 3, 4, 4).float()
    assert_close(l2.unit(v * scale), l2.unit(v))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    epsilon=st.sampled_from([0.0, 0.3, 1.0, 50.0]),
    scale=st.sampled_from([0.0, 0.01, 1.0]),
)
def test_projection_is_the_nearest_point_of_the_ball(seed, epsilon, scale):
    delta = random(seed, 3, 2, 3, 3, scale=scale)
    projected = l2.project(delta, epsilon)
    length = delta.flatten(1).norm(dim=1)
    assert_close(projected.flatten(1).norm(dim=1), length.clamp(max=epsilon))
    # The nearest point lies on the ray through delta, so the two norms add up to the distance.
    assert_close((delta - projected).flatten(1).norm(dim=1), (length - epsilon).clamp(min=0))
    inside = length <= epsilon
    assert torch.equal(projected[inside], delta[inside])


def test_clamp_to_box():
    x = torch.tensor([0.2, 0.9], dtype=torch.float64).view(1, 1, 1, 2)
    delta = torch.tensor([-0.5, 0.5], dtype=torch.float64).view(1, 1, 1, 2)
    assert_close(l2.clamp_to_box(x, delta, (0.0, 1.0)).flatten().tolist(), [-0.2, 0.1])
    assert torch.equal(l2.clamp_to_box(x, delta, None), delta)
    assert_close(l2.corner_distance(x, (0.0, 1.0)).item(), math.hypot(0.8, 0.9))
    assert l2.corner_distance(x, None).item() == math.inf


def test_eight_bit_images_are_fixed_points_of_quantize():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for dtype in (torch.float32, torch.float64):
        x = levels.to(dtype) / 255
        assert torch.equal(l2.quantize(x, 256, (0.0, 1.0)), x)
    assert l2.quantize(torch.tensor([-0.4, -0.6]), 3, (-2.0, 0.0)).tolist() == [0.0, -1.0]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    epsilon=st.sampled_from([0.01, 0.05, 0.3]),
    levels=st.sampled_from([2, 16, 256]),
    on_grid=st.booleans(),
)
def test_quantize_within_stays_in_the_ball_the_box_and_on_the_grid(seed, epsilon, levels, on_grid):
    bounds = (0.0, 1.0)
    x = torch.rand((3, 1, 4, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if on_grid:
        x = l2.quantize(x, levels, bounds)
    delta = l2.clamp_to_box(x, l2.unit(random(seed + 1, *x.shape)) * epsilon, bounds)
    quantized = l2.quantize_within(x, delta, epsilon, levels, bounds)
    assert (l2.norms(quantized) <= epsilon * (1 + 1e-12)).all()
    assert (x + quantized).min() >= 0
    assert (x + quantized).max() <= 1
    off = ((x + quantized) - l2.quantize(x + quantized, levels, bounds)).abs() > 1e-12
    assert not off.any() if on_grid else not (off & (quantized != 0)).any()


def test_quantize_within_keeps_the_nearest_grid_point_where_it_fits():
    x = torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64)
    delta = torch.tensor([0.24, 0.1], dtype=torch.float64).view(1, 1, 1, 2)
    assert l2.quantize_within(x, delta, 0.26, 5, (0.0, 1.0)).flatten().tolist() == [0.25, 0.0]
    # The nearest grid point is at 0.25 > epsilon here, and rounding towards x gives x itself.
    assert l2.quantize_within(x, delta, 0.24, 5, (0.0, 1.0)).flatten().tolist() == [0.0, 0.0]
    # Here it gives the grid points on the way, whatever the sign.
    delta = torch.tensor([0.4, -0.4], dtype=torch.float64).view(1, 1, 1, 2)
    assert l2.quantize_within(x, delta, 0.57, 5, (0.0, 1.0)).flatten().tolist() == [0.25, -0.25]


def test_uniform_in_ball_fills_the_ball_evenly():
    """In d dimensions (norm / epsilon)^d is uniform.

    The mean of 4000 draws misses 1/2 by 5 sigma once in 10^6.
    """
    like = torch.zeros((4000, 1, 2, 2), dtype=torch.float64)
    points = l2.uniform_in_ball(like, 0.7, torch.Generator().manual_seed(0))
    share = (l2.norms(points).flatten() / 0.7) ** 4
    assert share.max() <= 1
    assert abs(share.mean().item() - 0.5) < 5 * math.sqrt(1 / 12 / 4000)
    assert abs(points.mean().item()) < 5 * 0.7 / math.sqrt(4000 * 4)


def test_the_plateau_direction_is_one_unit_vector():
    first = l2.plateau_direction(torch.zeros(5, 3, 4, 4, dtype=torch.float64))
    torch.manual_seed(9)
    l2._plateau_direction.cache_clear()  # as in another process
    assert torch.equal(first, l2.plateau_direction(torch.zeros(2, 3, 4, 4, dtype=torch.float64)))
    assert first.shape == (1, 3, 4, 4)
    assert_close(first.norm().item(), 1.0)


def test_a_damped_unit_vector_is_the_published_quotient() -> None:
    v = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    v = v * torch.tensor([1.0, 1e-8, 0.0], dtype=torch.float64).view(3, 1, 1, 1)
    torch.testing.assert_close(l2.damped_unit(v), v / (l2.norms(v) + 1e-8), rtol=1e-12, atol=0)
