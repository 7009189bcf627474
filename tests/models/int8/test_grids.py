"""Grids whose steps are powers of two: what is nearest, and which one is taken."""

from __future__ import annotations

import pytest
import torch

from rsmooth.models.int8.grids import Grid, choose_grid, round_weights, rounded


def test_a_grid_has_the_nearest_of_its_numbers_and_its_ends() -> None:
    values = torch.tensor([-3.0, 0.12, 0.13, 0.375, 70.0])
    assert Grid(-2, 4).nearest(values).tolist() == [-1.0, 0.0, 0.25, 0.5, 62.75]


def test_ties_go_to_the_even_integer_after_the_zero_point() -> None:
    assert rounded(torch.tensor([0.5, 1.5, 2.5]), 0).tolist() == [0, 2, 2]
    assert rounded(torch.tensor([0.5, 1.5, 2.5]), 1).tolist() == [2, 2, 4]


def test_of_three_steps_the_one_with_least_loss_is_taken() -> None:
    torch.manual_seed(0)
    for values in (torch.rand(1000) * 5, torch.randn(1000), torch.randn(1000).relu() - 0.1):
        chosen = choose_grid(values)
        losses = {
            exponent: float((Grid(exponent, chosen.zero).nearest(values) - values).square().mean())
            for exponent in range(-12, 3)
        }
        assert losses[chosen.exponent] == min(losses.values())
    # One large value does not make the steps of the thousands coarse.
    outlier = torch.cat([torch.rand(1_000_000), torch.tensor([1.9])])
    assert choose_grid(outlier).exponent < choose_grid(torch.tensor([0.0, 1.9])).exponent


def test_zero_is_always_a_number_of_the_grid_and_positive_values_need_no_zero_point() -> None:
    assert choose_grid(torch.tensor([3.0, 5.0])).zero == 0
    assert choose_grid(torch.tensor([-3.0, -5.0])).zero == 255
    assert choose_grid(torch.zeros(3)) == Grid(0, 0)


def test_values_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="expected finite activations, got nan"):
        choose_grid(torch.tensor([1.0, float("nan")]))


def test_each_row_of_weights_has_its_own_step() -> None:
    weight = torch.tensor([[1.0, -0.5], [1e-3, 127e-5], [0.0, 0.0]], dtype=torch.float64)
    integers, exponent = round_weights(weight, 127)
    assert integers.abs().max() <= 127
    assert (
        (integers * torch.exp2(exponent)[:, None] - weight).abs() <= weight.abs().amax() / 64
    ).all()
    assert integers[0].tolist() == [64, -32]
    assert integers[2].tolist() == [0, 0]
