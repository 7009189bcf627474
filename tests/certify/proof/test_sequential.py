import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from rsmooth.certify.proof import sequential
from rsmooth.certify.proof.bounds import hits_needed
from rsmooth.certify.proof.sequential import (
    HitsDistribution,
    default_looks,
    design,
    samples_to_accept,
    spending,
)

N = 100_000
LOOKS = default_looks(N)
# Phi(0, 0.5, 1, 2), 0.99, Phi(3), and almost 1.
SHARES = [0.5, 0.69146, 0.84134, 0.97725, 0.99, 0.99865, 0.99992]


def enumerate_paths(looks, accept, reject, p):
    """P(accept), mean samples, by walking through every sequence of votes."""
    power = samples = 0.0
    for votes in itertools.product((0, 1), repeat=looks[-1]):
        chance = p ** sum(votes) * (1 - p) ** (looks[-1] - sum(votes))
        for size, upper, lower in zip(looks, accept, reject, strict=True):
            hits = sum(votes[:size])
            if hits >= upper or hits <= lower:
                power += chance * (hits >= upper)
                samples += chance * size
                break
        else:
            raise AssertionError("a stream ended undecided")
    return power, samples


@pytest.mark.parametrize("p", [0.3, 0.6, 0.9])
def test_exact_figures_are_those_of_walking_through_every_stream(p):
    test = design(0.6, (4, 7, 12), 0.1, power_loss=0.2)
    assert any(threshold >= 0 for threshold in test.reject[:-1]), (
        "expected a design that can give up early"
    )
    power, samples = enumerate_paths(test.looks, test.accept, test.reject, p)
    assert test.power(p) == pytest.approx(power, rel=1e-12)
    assert test.expected_samples(p) == pytest.approx(samples, rel=1e-12)
    ever, _ = enumerate_paths(test.looks, test.accept, (-1, -1, test.accept[-1] - 1), p)
    assert test.type_one_error(p) == pytest.approx(ever, rel=1e-12)


@pytest.mark.parametrize("p0", SHARES)
@pytest.mark.parametrize("final_share", [0.5, 0.8])
def test_type_one_error_is_within_alpha_though_no_stream_gives_up(p0, final_share):
    test = design(p0, LOOKS, 0.001, final_share=final_share)
    error = test.type_one_error()
    assert error <= 0.001
    assert error >= (0.95 if p0 < 0.98 else 0.3) * 0.001, (
        "alpha is left unused beyond what whole hits explain"
    )
    assert test.power(p0) <= error
    below = [test.type_one_error(p) for p in (0.9 * p0, 0.99 * p0, p0)]
    assert below == sorted(below)


@pytest.mark.parametrize("p0", [0.5, 0.97725, 0.99865])
def test_no_threshold_can_be_lowered_by_one_hit(p0):
    alpha, looks = 0.01, default_looks(4_000)
    test = design(p0, looks, alpha)
    allowed = np.cumsum(spending(alpha, len(looks), 0.5))
    for look in range(len(looks)):
        stream, drawn, crossed = HitsDistribution(p0), 0, 0.0
        for k in range(look + 1):
            stream.draw(looks[k] - drawn)
            drawn = looks[k]
            crossed += stream.stop_at_least(test.accept[k] - (k == look))
        assert crossed > allowed[look] or test.accept[look] > looks[look]


def test_type_one_error_by_simulation():
    # 100,000 streams at the null that never give up. The limits are binomial quantiles at 1e-7: a
    # test of level alpha exceeds the upper one with probability at most 1e-7 for each p0.
    rng, alpha, streams = np.random.default_rng(2), 0.01, 100_000
    looks = default_looks(5_000)
    for p0 in (0.5, 0.9, 0.99):
        test = design(p0, looks, alpha)
        hits = rng.binomial(np.diff(looks, prepend=0), p0, size=(streams, len(looks))).cumsum(
            axis=1
        )
        crossed = int((hits >= test.accept).any(axis=1).sum())
        assert crossed <= stats.binom.isf(1e-7, streams, alpha)
        assert abs(crossed - streams * test.type_one_error()) <= 5.3 * math.sqrt(streams * alpha)


@pytest.mark.parametrize("p0", SHARES[:-1])
@pytest.mark.parametrize("power_loss", [0.01, 0.05])
def test_giving_up_costs_no_more_power_than_agreed(p0, power_loss):
    test = design(p0, LOOKS, 0.001, power_loss=power_loss)
    promising = special.betaincinv(test.accept[-1], N - test.accept[-1] + 1, 0.9)
    assert stats.binom.sf(test.accept[-1] - 1, N, promising) == pytest.approx(0.9, abs=1e-6)
    lost = test.type_one_error(promising) - test.power(promising)
    assert 0.0 < lost <= power_loss


def test_giving_up_saves_samples_and_can_be_switched_off():
    eager, patient, never = (
        design(0.84134, LOOKS, 0.001, power_loss=loss) for loss in (0.05, 0.01, 0.0)
    )
    assert eager.accept == patient.accept == never.accept
    assert never.reject == (-1,) * (len(LOOKS) - 1) + (never.accept[-1] - 1,)
    samples = [test.expected_samples(0.7) for test in (eager, patient, never)]
    assert samples[0] < samples[1] < 1_000
    assert samples[2] == pytest.approx(N, rel=1e-3)


@pytest.mark.parametrize("sigmas", [0.0, 1.0, 2.0])
def test_hardly_any_power_is_lost_against_the_fixed_sample_size(sigmas):
    p0 = float(special.ndtr(sigmas))
    test, fixed = design(p0, LOOKS, 0.001), hits_needed(1.0, sigmas, N, 0.001)
    assert fixed <= test.accept[-1]
    shares = special.ndtr(np.linspace(sigmas - 0.5, sigmas + 0.5, 51))
    loss = [stats.binom.sf(fixed - 1, N, p) - test.power(float(p)) for p in shares]
    assert np.mean(loss) < 0.004  # of images within half a sigma of the radius


@pytest.mark.parametrize("sigmas", [0.5, 1.0, 2.0])
def test_thirty_times_fewer_samples_than_fixed_n(sigmas):
    test = design(float(special.ndtr(sigmas)), LOOKS, 0.001)
    # Images that are spread evenly over radii from none to four sigma.
    shares = special.ndtr(np.linspace(-1.0, 4.0, 60))
    assert np.mean([test.expected_samples(float(p)) for p in shares]) < N / 30


def test_what_rounding_could_turn_into_too_much_is_not_spent() -> None:
    """Eleven hits have probability 2^-11, which is all that the first look may spend."""
    assert design(0.5, (11, 20), 2.0**-10).accept[0] == 12, "never"
    assert design(0.5, (11, 20), 2.0**-10 * (1 + 1e-8)).accept[0] == 11


def test_one_look_is_the_fixed_test():
    test = design(0.5, (1_000,), 0.001)
    assert test.accept == (hits_needed(1.0, 0.0, 1_000, 0.001),)
    assert test.reject == (test.accept[0] - 1,)
    assert test.expected_samples(0.7) == pytest.approx(1_000)


def test_designs_are_made_once():
    assert design(0.75, LOOKS, 0.001) is design(0.75, LOOKS, 0.001)


@pytest.mark.parametrize(
    ("samples", "p"), [(1, 0.3), (7, 0.001), (300, 0.5), (N, 0.97725), (N, 0.99999), (50, 1.0)]
)
def test_a_draw_is_binomial(samples, p):
    stream = HitsDistribution(p)
    stream.draw(samples)
    expected = stats.binom.pmf(np.arange(stream.low, stream.low + stream.mass.size), samples, p)
    np.testing.assert_allclose(stream.mass, expected, rtol=1e-9, atol=1e-17)
    assert stream.mass.sum() == pytest.approx(1.0, abs=1e-13)


def test_draws_add_up():
    whole, parts = HitsDistribution(0.9), HitsDistribution(0.9)
    whole.draw(1_000)
    for samples in (1, 99, 900):
        parts.draw(samples)
    assert parts.stop_at_least(905) == pytest.approx(whole.stop_at_least(905), rel=1e-11)
    assert parts.stop_at_most(870) == pytest.approx(whole.stop_at_most(870), rel=1e-11)
    halves = whole.part(0, 7).join(whole.part(7, whole.mass.size))
    assert halves.low == whole.low
    np.testing.assert_array_equal(halves.mass, whole.mass)


def test_streams_stop_and_thresholds_lie_at_their_very_hits():
    mass = np.array([0.25, 0.25, 0.25, 0.25])  # of 3, 4, 5 and 6 hits
    for hits, above in [(7, 0.0), (6, 0.25), (4, 0.75), (3, 1.0), (0, 1.0)]:
        assert HitsDistribution(0.5, 3, mass).stop_at_least(hits) == above
        assert HitsDistribution(0.5, 3, mass).stop_at_most(hits - 1) == 1.0 - above
    for probability, hits in [(0.2, 7), (0.25, 6), (0.5, 5), (0.6, 5), (1.0, 3)]:
        assert HitsDistribution(0.5, 3, mass).highest_within(probability) == hits
        assert HitsDistribution(0.5, 3, mass).lowest_within(probability) == 9 - hits


@pytest.mark.parametrize("p", [0.5, 0.97725, 0.99865])
def test_large_draws_by_fourier_transform_are_the_same(p, monkeypatch):
    direct, fast = HitsDistribution(p), HitsDistribution(p)
    for samples in (300_000, 5, 400_000):
        direct.draw(samples)
        with monkeypatch.context() as patch:
            patch.setattr(sequential, "_DIRECT_PRODUCTS", 0)
            fast.draw(samples)
    start, trimmed = fast.low - direct.low, np.zeros(direct.mass.size)
    assert 0 <= start < start + fast.mass.size < direct.mass.size
    trimmed[start : start + fast.mass.size] = fast.mass
    assert np.abs(direct.mass - trimmed).sum() < 1e-13, "far below NUMERICAL_SLACK"
    assert (fast.mass >= 0).all()


def test_thresholds_do_not_depend_on_the_way_of_convolution(monkeypatch):
    looks = default_looks(20_000)
    plain = [design(p0, looks, 0.001) for p0 in SHARES[:-1]]
    monkeypatch.setattr(sequential, "_DIRECT_PRODUCTS", 0)
    design.cache_clear()
    assert [design(p0, looks, 0.001) for p0 in SHARES[:-1]] == plain
    design.cache_clear()


def test_no_design_takes_a_convolution_of_quadratic_cost(monkeypatch):
    convolve, products = np.convolve, []
    monkeypatch.setattr(
        np, "convolve", lambda a, b: (products.append(a.size * b.size), convolve(a, b))[1]
    )
    test = design(0.6, default_looks(10**8), 0.001)  # 10^10 products at the last look
    assert 0.99 * 0.001 < test.type_one_error() <= 0.001
    assert 10**6 < max(products) <= 10**8


def test_default_looks_grow_to_the_largest_size():
    assert default_looks(20) == (20,)
    assert default_looks(100) == (32, 45, 64, 100)
    assert LOOKS[:3] == (32, 45, 64)
    assert LOOKS[-1] == N
    assert LOOKS[-2] < 0.9 * N
    assert default_looks(5, start=1, growth=1.01) == (1, 2, 3, 4, 5)


def test_spending_adds_up_to_alpha():
    assert spending(0.001, 5, 0.8) == pytest.approx((5e-5,) * 4 + (8e-4,))
    assert spending(0.001, 1, 0.8) == (0.001,)
    with pytest.raises(ValueError, match="final share"):
        spending(0.001, 5, 0.0)


def test_what_unanimous_votes_cannot_show_is_refused():
    needed = samples_to_accept(0.9, 0.001)
    assert needed == 66
    assert design(0.9, (needed,), 0.001).accept == (needed,)
    with pytest.raises(ValueError, match="at least 66 samples"):
        design(0.9, (needed - 1,), 0.001)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, (), 0.001), "increasing sample sizes"),
        ((0.5, (32, 32), 0.001), "increasing sample sizes"),
        ((0.5, (0, 32), 0.001), "increasing sample sizes"),
        ((1.0, (32,), 0.001), "p0 in"),
        ((math.nan, (32,), 0.001), "p0 in"),
        ((0.5, (32,), 0.0), "alpha"),
        ((0.5, (64,), 1e-9), "alpha >= 1e-8"),
    ],
)
def test_bad_designs_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        design(*arguments)


def test_bad_looks_are_refused():
    with pytest.raises(ValueError, match="growth > 1"):
        default_looks(100, growth=1.0)
