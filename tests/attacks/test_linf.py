"""The l-infinity geometry by hand."""

import torch

from rsmooth.attacks import l2, linf


def test_the_steepest_direction_is_the_sign_of_each_entry():
    v = torch.tensor([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0]]).view(2, 1, 1, 3)
    fallback = torch.tensor([1.0, 1.0, -1.0]).view(1, 1, 1, 3)
    assert linf.unit(v).flatten().tolist() == [1, -1, 0, 0, 0, 0]
    # Only where the whole gradient vanishes is there nothing to follow.
    assert linf.unit(v, fallback).flatten().tolist() == [1, -1, 0, 1, 1, -1]
    assert linf.unit(1e-30 * v).flatten().tolist() == [1, -1, 0, 0, 0, 0]


def test_projection_clips_each_entry():
    v = torch.tensor([0.1, -0.5, 0.2, 0.0]).view(1, 1, 1, 4)
    assert torch.equal(linf.project(v, 0.2).flatten(), torch.tensor([0.1, -0.2, 0.2, 0.0]))


def test_uniform_in_ball_fills_the_ball_evenly():
    """The mean of 32,000 draws of [-1, 1) misses 0 by 5 sigma once in 10^6; so does their square.

    Squares have mean 1/3 and variance 4/45.
    """
    like = torch.zeros((4000, 1, 2, 4), dtype=torch.float64)
    points = linf.uniform_in_ball(like, 0.1, torch.Generator().manual_seed(0)) / 0.1
    assert points.abs().max() <= 1
    assert abs(points.mean().item()) < 5 * (1 / 3 / 32_000) ** 0.5
    assert abs(points.square().mean().item() - 1 / 3) < 5 * (4 / 45 / 32_000) ** 0.5


def test_the_plateau_direction_is_the_sign_of_that_of_l2():
    like = torch.zeros(5, 3, 4, 4, dtype=torch.float64)
    assert torch.equal(linf.plateau_direction(like), l2.plateau_direction(like).sign())
    assert linf.plateau_direction(like).abs().eq(1).all()
