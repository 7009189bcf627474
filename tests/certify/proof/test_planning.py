import numpy as np
import pytest

from rsmooth.certify.proof import planning
from rsmooth.certify.proof.bounds import max_radius, minimal_n
from rsmooth.certify.proof.planning import plan, simulated_samples
from rsmooth.certify.proof.rules import FixedRule, RadiusRule
from rsmooth.noise import Gaussian, Uniform

SHARES = [0.3, 0.55, 0.7, 0.9, 0.99, 0.9999]


@pytest.fixture(autouse=True)
def _few_streams(monkeypatch):
    monkeypatch.setattr(planning, "_STREAMS", 60)


def test_the_fixed_protocol_costs_n0_plus_n_samples():
    [row] = plan(0.5, n=1_000, n0=100, images=36, rate=1_100.0).rows
    assert (row.mode, row.samples, row.standard_error) == ("fixed", 1_100.0, 0.0)
    assert row.hours == pytest.approx(0.01)


def test_what_a_radius_needs_and_what_n_shows():
    found = plan(1.0, radius=4.0, shares=SHARES)
    assert found.minimal_n == 218_105
    assert found.max_radius == max_radius(1.0, 100_000, 0.001)
    assert [row.mode for row in found.rows] == ["fixed"]
    assert "radius 4 needs n >= 218,105: out of reach of this n" in str(found)
    assert "unknown: give a rate" in str(found)


def test_modes_are_planned_where_their_option_and_shares_are_given():
    options = {"n": 300, "radius": 0.5, "radii": [0.25, 0.5], "tolerance": 0.05, "rate": 1e4}
    assert [row.mode for row in plan(0.5, **options).rows] == ["fixed"]
    found = plan(0.5, **options, shares=SHARES)
    assert [row.mode for row in found.rows] == ["fixed", "radius", "grid", "anytime"]
    assert all(16 < row.samples < 400 and row.standard_error > 0.0 for row in found.rows[1:])
    assert all(row.hours == pytest.approx(row.samples * 500 / 1e4 / 3600) for row in found.rows)
    assert len(str(found).splitlines()) == 3 + 4
    assert found == plan(0.5, **options, shares=SHARES), "expected the same plan from the same seed"
    assert found != plan(0.5, **options, shares=SHARES, seed=1)


def test_a_clear_selection_is_planned_to_end_early():
    def radius_row(p, n0):
        return plan(0.5, n=1_000, n0=n0, radius=0.25, shares=[p]).rows[1]

    assert radius_row(1.0, 100).samples - radius_row(1.0, 0).samples == 16
    assert radius_row(0.5, 100).samples - radius_row(0.5, 0).samples > 90


def test_radii_of_a_plan_may_be_an_array():
    options = {"n": 1_000, "shares": SHARES}
    assert plan(0.5, radii=np.array([0.25, 0.5]), **options) == plan(
        0.5, radii=[0.25, 0.5], **options
    )


def test_plans_of_another_noise():
    found = plan(Uniform(0.5), n=1_000, radius=0.25, tolerance=0.05, shares=SHARES)
    assert found.noise == Uniform(0.5)
    assert found.minimal_n == minimal_n(Uniform(0.5), 0.25, 0.001)
    assert [row.mode for row in found.rows] == ["fixed", "radius", "anytime"]
    assert str(found).startswith("uniform half_width=0.5, alpha 0.001: n = 1,000 certifies at most")
    assert str(found).splitlines()[0].endswith(" in l1")
    assert plan(0.5, n=1_000) == plan(Gaussian(0.5), n=1_000)
    with pytest.raises(ValueError, match="sigma > 0"):
        plan(0.0)


def test_simulated_samples_agree_with_the_exact_mean():
    rule = RadiusRule(0.5, 0.5, 0.001, 5_000)
    taken = simulated_samples(rule, np.full(1_500, 0.9))
    exact, _ = rule.test.outcome(0.9)
    # within five standard errors of the mean: fails for a right figure with probability below 1e-5
    assert abs(taken.mean() - exact) < 5 * taken.std() / np.sqrt(taken.size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 10}, "n >= 11"),
        ({"images": 0}, "images >= 1"),
        ({"n0": -1}, "n0 >= 0"),
        ({"n": 10**23}, "at most 4,294,967,296 samples"),
        ({"rate": 0.0}, "rate > 0"),
        ({"rate": float("inf")}, "rate > 0"),
        ({"n": 1000.5}, "expected an integer n, got 1000.5"),
        ({"n0": float("nan")}, "expected an integer n0, got nan"),
        ({"images": 2.5}, "expected an integer number of images, got 2.5"),
        ({"radius": 9.0}, "radius that some n certifies"),
        ({"radius": 0.5, "shares": []}, "at least one"),
        ({"radius": 0.5, "shares": [1.5]}, r"vote shares in \[0, 1\]"),
    ],
)
def test_impossible_plans_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plan(0.5, **options)


def test_the_fixed_rule_needs_no_simulation_to_end():
    assert simulated_samples(FixedRule(0.5, 100, 0.001), [0.1, 0.9]).tolist() == [100, 100]
