import functools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from rsmooth.certify.proof import rules
from rsmooth.certify.proof.bounds import (
    hits_needed,
    max_radius,
    radius_from_counts,
    upper_confidence_bound,
)
from rsmooth.certify.proof.designs import FIRST_DESIGN, SequentialDesign
from rsmooth.certify.proof.planning import simulated_samples
from rsmooth.certify.proof.rules import AnytimeRule, FixedRule, GridRule, RadiusRule, stopping_rule
from rsmooth.certify.proof.sequential import HitsDistribution
from rsmooth.certify.proof.stopping import Decision
from rsmooth.noise import Laplace, Uniform
from rsmooth.noise.distributions import as_noise

SIGMA, ALPHA = 0.5, 0.001
GRID = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
RULES = {
    "fixed": FixedRule(SIGMA, 5_000, ALPHA),
    "radius": RadiusRule(SIGMA, 0.5, ALPHA, 5_000),
    "grid": GridRule(SIGMA, GRID, ALPHA, 5_000),
    "anytime": AnytimeRule(SIGMA, ALPHA, 5_000, 0.02),
}


def run(rule, path):
    """The decision on a stream, given its hits at every look."""
    for look in range(len(path)):
        decision = rule.decide(path[: look + 1])
        if decision is not None:
            return decision
    raise AssertionError("a stream ended undecided")


def paths(rule, p, streams, seed):
    steps = np.diff(rule.looks, prepend=0)
    return (
        np.random.default_rng(seed)
        .binomial(steps, p, size=(streams, len(steps)))
        .cumsum(axis=1)
        .tolist()
    )


@pytest.mark.parametrize("hits", [0, 2_500, 2_600, 4_900, 5_000])
def test_fixed_is_the_published_protocol(hits):
    radius = radius_from_counts(hits, 5_000, SIGMA, ALPHA)
    assert RULES["fixed"].decide([hits]) == Decision(radius, radius > 0.0, 5_000)


def test_radius_is_decided_at_the_exact_thresholds():
    rule = RULES["radius"]
    accept, reject = rule.test.accept[:, 0], rule.test.reject[:, 0]
    look = next(k for k, size in enumerate(rule.looks) if size >= 512)
    before = [int(threshold) - 1 for threshold in accept[:look]]
    assert rule.decide([*before, int(accept[look])]) == Decision(0.5, True, rule.looks[look])
    assert rule.decide([*before, int(accept[look]) - 1]) is None
    assert rule.decide([*before, int(reject[look]) + 1]) is None
    assert rule.decide([*before, int(reject[look])]) == Decision(0.0, False, rule.looks[look])


def test_grid_certifies_the_largest_radius_that_is_shown():
    rule = RULES["grid"]
    decisions = [
        run(rule, [round(size * p) for size in rule.looks])
        for p in (0.3, 0.6, 0.75, 0.9, 0.999, 1.0)
    ]
    assert [decision.certified for decision in decisions] == [False] + [True] * 5
    radii = [decision.radius for decision in decisions]
    assert radii == sorted(radii)
    assert radii[:2] == [0.0, 0.0]
    assert radii[-1] == 1.25, "expected the largest radius that 5,000 votes can show"
    assert decisions[0].samples < 1_000


def test_decisions_are_those_of_the_fixed_protocol_for_almost_all_images():
    # grid radii within one cell of the full radius from 50,000 samples; only images next to a grid
    # radius may differ
    rule, n = GridRule(SIGMA, GRID, ALPHA, 50_000), 50_000
    differing, shares = 0, special.ndtr(np.linspace(-0.4, 3.6, 40))
    for k, p in enumerate(shares):
        [path] = paths(rule, p, 1, seed=k)
        full = radius_from_counts(path[-1], n, SIGMA, ALPHA)
        decided = run(rule, path).radius
        floor = max([r for r in GRID if r <= full], default=0.0)
        assert abs(decided - floor) <= 0.25
        differing += decided != floor
    assert differing <= 4


@pytest.mark.parametrize("noise", [SIGMA, Uniform(0.8), Laplace(0.4)])
@pytest.mark.parametrize("name", ["radius", "grid", "anytime"])
def test_wrong_certificates_by_simulation(name, noise, monkeypatch):
    # alpha = 0.05, 1,500 streams at each of four shares; limits are binomial quantiles at 1e-7, the
    # false-alarm rate. Streams often meet the same counts, whose bounds are computed once.
    for bound in (radius_from_counts, upper_confidence_bound):
        monkeypatch.setattr(rules, bound.__name__, functools.cache(bound))
    alpha, streams = 0.05, 1_500
    rule = {
        "radius": RadiusRule(noise, 0.5, alpha, 300),
        "grid": GridRule(noise, [0.0, 0.25, 0.5, 0.75], alpha, 300),
        "anytime": AnytimeRule(noise, alpha, 300, 0.05),
    }[name]
    formula = {
        "gaussian": lambda p: SIGMA * special.ndtri(p),
        "uniform": lambda p: 1.6 * (p - 0.5),
        "laplace": lambda p: -0.4 * math.log(2 * (1 - p)),
    }[as_noise(noise).name]
    for p in (0.5, 0.69, 0.8413, 0.93):
        truth = formula(p)
        found = [run(rule, path) for path in paths(rule, p, streams, seed=4)]
        wrong = sum(decision.certified and decision.radius >= truth + 1e-12 for decision in found)
        assert wrong <= stats.binom.isf(1e-7, streams, alpha)


@pytest.mark.parametrize("p", [0.5, 0.75, 0.9, 0.99, 0.999])
def test_anytime_errs_within_alpha_by_exact_computation(p):
    # the chance that the bound of any look, stopped at or not, exceeds the true radius
    rule = AnytimeRule(1.0, ALPHA, 20_000, 0.01)
    truth, stream, drawn, wrong = float(special.ndtri(p)), HitsDistribution(p), 0, 0.0
    for size, level in zip(rule.looks, rule.levels, strict=True):
        stream.draw(size - drawn)
        drawn = size
        needed = hits_needed(1.0, truth + 1e-9, size, level)
        wrong += stream.stop_at_least(size + 1 if needed is None else needed)
    assert 0.5 * ALPHA < wrong <= ALPHA
    assert math.fsum(rule.levels) == pytest.approx(ALPHA)
    assert rule.levels[-1] == pytest.approx(0.8 * ALPHA)


def test_anytime_gives_up_no_more_than_its_tolerance_and_little_at_the_end():
    n = 20_000
    for p in (0.8, 0.97, 0.9999):
        for tolerance in (0.01, 0.05):
            rule = AnytimeRule(SIGMA, ALPHA, n, tolerance)
            streams = paths(rule, p, 60, seed=5)
            fixed = np.mean([radius_from_counts(path[-1], n, SIGMA, ALPHA) for path in streams])
            found = np.mean([run(rule, path).radius for path in streams])
            # 0.005: what keeping 0.8 of alpha for the end costs, and the noise of the mean over 60
            # streams
            assert fixed - found <= tolerance + 0.005
    last = AnytimeRule(SIGMA, ALPHA, n, 1e-9).decide([round(0.9 * size) for size in rule.looks])
    assert last is not None
    assert last.samples == n
    assert 0.0 < radius_from_counts(18_000, n, SIGMA, ALPHA) - last.radius < 0.001


@pytest.mark.parametrize(
    ("noise", "formula"),
    [
        (SIGMA, lambda p: SIGMA * special.ndtri(p)),
        (Uniform(0.8), lambda p: 1.6 * (p - 0.5)),
        (Laplace(0.4), lambda p: -0.4 * math.log(2 * (1 - p))),
    ],
)
def test_anytime_gives_up_where_an_upper_bound_promises_too_little(noise, formula):
    rule = AnytimeRule(noise, ALPHA, 5_000, 0.1)
    size = rule.looks[0]
    for hits in range(size // 2 + 5):  # none of them certifies anything yet
        upper = stats.beta.isf(0.01 / (len(rule.looks) - 1), hits + 1, size - hits)
        promised = formula(upper) if upper > 0.5 else 0.0
        assert (rule.decide([hits]) is None) == (promised > 0.1), hits
    assert rule.decide([0]) == Decision(0.0, False, size)
    assert rule.decide([size // 2 + 4]) is None


def test_anytime_stops_where_going_on_at_this_share_of_hits_promises_too_little():
    rule, decided = AnytimeRule(SIGMA, ALPHA, 5_000, 0.6), []
    for hits in range(28, 33):  # of 32; each certifies something already
        present = radius_from_counts(hits, 32, SIGMA, rule.levels[0])
        promised = radius_from_counts(round(hits * 5_000 / 32), 5_000, SIGMA, rule.levels[-1])
        stops = present > 0.0 and promised - present <= 0.6
        assert rule.decide([hits]) == (Decision(present, True, 32) if stops else None), hits
        decided.append(stops)
    assert decided == [True, True, False, False, False]


def test_anytime_keeps_the_largest_radius_of_all_looks():
    first = radius_from_counts(32, 32, SIGMA, RULES["anytime"].levels[0])
    unanimous_then_never = [32] * len(RULES["anytime"].looks)
    assert run(RULES["anytime"], unanimous_then_never) == Decision(first, True, 128)


def test_a_larger_tolerance_takes_fewer_samples():
    shares = special.ndtr(np.linspace(-1.0, 3.0, 30)).tolist()
    samples = [
        simulated_samples(AnytimeRule(SIGMA, ALPHA, 20_000, tol), shares).mean()
        for tol in (0.01, 0.05, 0.2)
    ]
    assert samples[0] > 1.3 * samples[1] > 1.3 * 1.3 * samples[2]


def test_adaptive_modes_save_what_they_promise():
    shares = special.ndtr(np.linspace(-1.0, 4.0, 200)).tolist()
    grid, radius = GridRule(SIGMA, GRID, ALPHA, 100_000), RadiusRule(SIGMA, 1.0, ALPHA, 100_000)
    assert simulated_samples(grid, shares, seed=6).mean() < 100_000 / 4
    assert simulated_samples(radius, shares, seed=6).mean() < 100_000 / 30


@given(data=st.data(), name=st.sampled_from(sorted(RULES)))
@settings(max_examples=80, deadline=None)
def test_every_stream_is_decided_and_more_hits_never_harm(data, name):
    rule = RULES[name]
    steps = np.diff(rule.looks, prepend=0).tolist()
    fewer = [data.draw(st.integers(0, step)) for step in steps]
    more = [data.draw(st.integers(hits, step)) for hits, step in zip(fewer, steps, strict=True)]
    low, high = (rule.decide(np.cumsum(path).tolist()) for path in (fewer, more))
    assert low is not None
    assert high is not None
    assert low.radius <= high.radius <= max_radius(SIGMA, 5_000, ALPHA)
    assert low.certified <= high.certified
    assert low.certified or low.radius == 0.0
    first = run(rule, np.cumsum(fewer).tolist())
    assert first.samples in rule.looks
    assert rule.decide(np.cumsum(fewer).tolist()) == low, "expected a pure function"


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_samplers_distance_from_the_ideal_makes_each_rule_stricter(name):
    options = {
        "radius": {"radius": 0.5},
        "grid": {"radii": GRID},
        "anytime": {"tolerance": 1e-6},
    }.get(name, {})
    ideal, rough = (
        stopping_rule(name, SIGMA, 5_000, ALPHA, total_variation=tv, **options)
        for tv in (0.0, 0.02)
    )
    path = [round(0.87 * size) for size in ideal.looks]
    assert ideal.decide(path).certified
    assert rough.decide(path).radius < ideal.decide(path).radius


@pytest.mark.parametrize("option", [{"final_share": 0.9}, {"power_loss": 0.2}])
@pytest.mark.parametrize("kind", [RadiusRule, GridRule])
def test_options_of_the_tests_have_an_effect(kind, option):
    target = 0.5 if kind is RadiusRule else [0.5, 1.0]
    plain = kind(SIGMA, target, ALPHA, 5_000)
    changed = kind(SIGMA, target, ALPHA, 5_000, design=SequentialDesign(**option))
    thresholds = "accept" if "final_share" in option else "reject"
    assert (getattr(plain.test, thresholds) != getattr(changed.test, thresholds)).any()


def test_anytimes_share_for_the_last_look_has_an_effect():
    changed = AnytimeRule(SIGMA, ALPHA, 5_000, 0.02, final_share=0.5)
    assert changed.levels[-1] == pytest.approx(0.5 * ALPHA)


def test_unreachable_radii():
    with pytest.raises(
        ValueError, match=r"max_n >= 301 to certify radius 1 under gaussian sigma=0\.5 at"
    ):
        RadiusRule(SIGMA, 1.0, ALPHA, 300)
    with pytest.raises(ValueError, match="max_n >= 301"):
        GridRule(SIGMA, [1.0, 1.5], ALPHA, 300)
    assert RadiusRule(SIGMA, 1.0, ALPHA, 301).decided_radii == (1.0,)
    assert GridRule(SIGMA, [1.0, 1.5], ALPHA, 301).decided_radii == (1.0,)
    rule = GridRule(SIGMA, [2.5, 0.5, 0.5, 9.0], ALPHA, 5_000)
    assert rule.radii == (0.5, 2.5, 9.0)
    assert rule.decided_radii == (0.5,)
    assert run(rule, list(rule.looks)).radius == 0.5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FixedRule(SIGMA, 10, ALPHA), "n >= 11"),
        (lambda: FixedRule(0.0, 100, ALPHA), "sigma > 0"),
        (lambda: FixedRule(Uniform(0.0), 100, ALPHA), "half_width > 0"),
        (lambda: RadiusRule(Laplace(0.0), 0.1, ALPHA, 1_000), "scale > 0"),
        (lambda: GridRule(Laplace(0.0), [0.1], ALPHA, 1_000), "scale > 0"),
        (lambda: AnytimeRule(Uniform(0.0), ALPHA, 1_000, 0.1), "half_width > 0"),
        (lambda: RadiusRule(Uniform(0.5), 0.5, ALPHA, 10**6), "under uniform half_width=0.5"),
        (lambda: FixedRule(SIGMA, 100, ALPHA, total_variation=1.0), "total variation"),
        (lambda: RadiusRule(SIGMA, -1.0, ALPHA, 1_000), "radius >= 0"),
        (lambda: RadiusRule(SIGMA, 0.0, ALPHA, 10), "n >= 11"),
        (lambda: RadiusRule(SIGMA, 0.5, ALPHA, 1_000, total_variation=-0.1), "total variation"),
        (lambda: GridRule(SIGMA, [], ALPHA, 1_000), "at least one radius"),
        (lambda: GridRule(SIGMA, [math.nan], ALPHA, 1_000), "radius"),
        (lambda: AnytimeRule(SIGMA, ALPHA, 1_000, 0.0), "tolerance > 0"),
        (lambda: AnytimeRule(SIGMA, ALPHA, 54, 0.1, final_share=1e-13), "n >= 55"),
        (lambda: AnytimeRule(math.inf, ALPHA, 1_000, 0.1), "sigma"),
        (
            lambda: stopping_rule("all", SIGMA, 100, ALPHA),
            "a mode among fixed, radius, grid, anytime",
        ),
        (
            lambda: stopping_rule("radius", SIGMA, 100, ALPHA),
            "expected radius for mode 'radius', got no option; give just what the mode needs",
        ),
        (
            lambda: stopping_rule("fixed", SIGMA, 100, ALPHA, radius=0.5),
            "no option for mode 'fixed', got radius; choose mode 'radius', or give",
        ),
    ],
)
def test_bad_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_rules_by_name():
    assert stopping_rule("fixed", SIGMA, 5_000, ALPHA) == RULES["fixed"]
    assert stopping_rule("radius", SIGMA, 5_000, ALPHA, radius=0.4) == RadiusRule(
        SIGMA, 0.4, ALPHA, 5_000
    )
    assert stopping_rule("grid", SIGMA, 5_000, ALPHA, radii=GRID) == RULES["grid"]
    assert stopping_rule("anytime", SIGMA, 5_000, ALPHA, tolerance=0.02) == RULES["anytime"]
    first = stopping_rule("radius", SIGMA, 5_000, ALPHA, radius=0.5, design=FIRST_DESIGN)
    assert first == RadiusRule(SIGMA, 0.5, ALPHA, 5_000, design=FIRST_DESIGN)
    with pytest.raises(ValueError, match="no design for mode 'anytime'"):
        stopping_rule("anytime", SIGMA, 5_000, ALPHA, tolerance=0.02, design=FIRST_DESIGN)
    assert [rule.mode for rule in RULES.values()] == list(RULES)


@pytest.mark.parametrize("name", sorted(RULES))
def test_rules_travel_to_other_processes(name):
    rule = RULES[name]
    path = [size // 2 for size in rule.looks]
    assert pickle.loads(pickle.dumps(rule)).decide(path) == rule.decide(path)
