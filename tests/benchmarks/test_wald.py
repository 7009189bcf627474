"""The lower bound on samples, against rules that meet it and rules that cannot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from rsmooth.benchmarks.wald import wald_bound
from rsmooth.certify.proof.joint import joint_design
from rsmooth.certify.proof.rules import GridRule, RadiusRule


@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0])
def test_no_rule_is_below_it(factor: float) -> None:
    test = RadiusRule(1.0, factor, 0.001, 20_000).test
    for p in [*special.ndtr(np.linspace(-2.0, 5.0, 60)).tolist(), 0.0, 1.0]:
        bound, (samples, _) = wald_bound(test, p), test.outcome(p)
        assert 0.0 <= bound <= samples


def test_it_is_the_relative_entropy_bound_far_from_the_null() -> None:
    """All streams are accepted at p = 1: kl(1, alpha) / kl(1, p0) = log(alpha) / log(p0)."""
    test = RadiusRule(1.0, 1.0, 0.001, 20_000).test
    assert wald_bound(test, 1.0) == pytest.approx(np.log(0.001) / np.log(test.p0[0]))


def test_a_sequential_test_of_two_simple_shares_comes_close_to_it() -> None:
    """Looking after every sample, with all of alpha spread over them."""
    test = joint_design([0.5], tuple(range(10, 200)), 0.05, final_share=0.01, power_loss=0.05)
    p = 0.8
    assert 1.0 < test.outcome(p)[0] / wald_bound(test, p) < 2.5


def test_several_tests_need_what_the_hardest_needs() -> None:
    grid = GridRule(1.0, [0.0, 1.0, 2.0], 0.001, 20_000).test
    alone = [RadiusRule(1.0, radius, 0.001, 20_000).test for radius in (0.0, 1.0, 2.0)]
    for p in (0.4, 0.7, 0.99):
        assert wald_bound(grid, p) == pytest.approx(max(wald_bound(t, p) for t in alone), rel=0.02)
