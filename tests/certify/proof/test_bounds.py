import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rsmooth.certify.proof.bounds import (
    binomial_p_value,
    check_n,
    hits_needed,
    lower_confidence_bound,
    max_radius,
    minimal_n,
    null_share,
    radius_from_counts,
    smallest_n,
    upper_confidence_bound,
)
from rsmooth.noise import Gaussian, Laplace, Uniform
from rsmooth.registry import NOISES

BEFORE = ("0x1.fa5ed6027205ep-2", "0x1.ed7476963d83cp-4", "0x1.f45a183e9b427p-1")


@pytest.mark.parametrize(
    ("n", "ratio"),
    [(100, 1.5005), (1_000, 2.4633), (10_000, 3.1986), (100_000, 3.8115), (1_000_000, 4.3468)],
)
def test_the_largest_radius_is_the_published_multiple_of_sigma(n, ratio):
    assert max_radius(0.25, n, 0.001) / 0.25 == pytest.approx(ratio, abs=5e-5)


def test_published_sample_sizes_and_thresholds():
    assert minimal_n(0.5, 1.0, 0.001) == 301
    assert minimal_n(1.0, 4.0, 0.001) == 218_105
    assert hits_needed(0.25, 0.0, 100_000, 0.001) == 50_490


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.7])
@pytest.mark.parametrize("n", [1, 2, 37, 100_000])
def test_bounds_are_the_ends_of_scipys_exact_intervals(n, alpha):
    hits = np.unique(np.linspace(0, n, 38).astype(int))
    intervals = [
        stats.binomtest(int(x), n, alternative=side) for x in hits for side in ("greater", "less")
    ]
    exact = [test.proportion_ci(1 - alpha, method="exact") for test in intervals]
    np.testing.assert_allclose(
        lower_confidence_bound(hits, n, alpha), [ci.low for ci in exact[::2]], atol=1e-12
    )
    np.testing.assert_allclose(
        upper_confidence_bound(hits, n, alpha), [ci.high for ci in exact[1::2]], atol=1e-12
    )


def test_the_ends_of_the_scale():
    assert lower_confidence_bound(0, 50, 0.01) == 0.0
    assert upper_confidence_bound(50, 50, 0.01) == 1.0
    assert lower_confidence_bound(50, 50, 0.01) == pytest.approx(0.01 ** (1 / 50), rel=1e-11)
    # on the side of the misses nothing cancels: -expm1(log(alpha)/n) to the last digits
    assert upper_confidence_bound(0, 10**9, 0.001) == pytest.approx(
        -math.log(0.001) / 1e9, rel=1e-8
    )
    assert isinstance(lower_confidence_bound(3, 5, 0.1), float)
    assert isinstance(radius_from_counts(5, 5, 1.0, 0.1), float)
    assert lower_confidence_bound(np.array([[1, 2]]), np.array([[5], [6]]), 0.1).shape == (2, 2)


def test_coverage_by_simulation():
    # 20 vote shares, 10,000 streams each: a valid bound errs in at most alpha of them. The limit is
    # the binomial quantile at 1 - 1e-7, so a sound pair of bounds fails this test with probability
    # at most 40 * 1e-7.
    rng, alpha, streams = np.random.default_rng(1), 0.01, 10_000
    allowed = stats.binom.isf(1e-7, streams, alpha)
    for p in np.linspace(0.05, 0.999, 20):
        hits = rng.binomial(200, p, size=streams)
        assert (lower_confidence_bound(hits, 200, alpha) > p).sum() <= allowed
        assert (upper_confidence_bound(hits, 200, alpha) < p).sum() <= allowed


def rigorous_tail(flint, hits, n, radius, sigma):
    """P(Bin(n, Phi(radius / sigma)) >= hits) as an interval that provably holds the value."""
    p = (1 + (flint.arb(radius) / flint.arb(sigma) / flint.arb(2).sqrt()).erf()) / 2
    odds, term, tail = (1 - p) / p, p**n, flint.arb(0)
    for misses in range(n - hits + 1):
        tail += term
        term *= odds * (n - misses) / (misses + 1)
    return tail


@pytest.mark.parametrize("n", [100, 1_000])
def test_no_radius_exceeds_the_exact_one(n):
    flint = pytest.importorskip("flint", reason="python-flint gives rigorous bounds")
    flint.ctx.prec, alpha = 160, flint.arb("0.001")
    radii = radius_from_counts(np.arange(n + 1), n, 0.25, 0.001)
    first = int(np.flatnonzero(radii)[0])
    assert not rigorous_tail(flint, first - 1, n, 0.0, 0.25) <= alpha, "abstains needlessly"
    for hits in range(first, n + 1):
        radius = float(radii[hits])
        assert rigorous_tail(flint, hits, n, radius, 0.25) <= alpha, (
            f"radius {radius} of {hits}/{n} is too large"
        )
        assert hits % 10 or rigorous_tail(flint, hits, n, radius + 1e-9, 0.25) > alpha, (
            "needlessly small"
        )


@pytest.mark.parametrize("n", [10**6, 10**7, 10**8, 10**9])
def test_no_radius_of_huge_samples_exceeds_the_exact_one(n):
    # few misses, where the inverse of the beta integral loses digits as n grows
    flint = pytest.importorskip("flint", reason="python-flint gives rigorous bounds")
    flint.ctx.prec, arb = 160, flint.arb
    for alpha, misses in [(a, m) for a in (1e-5, 1e-3, 0.05) for m in range(25)]:
        radius = radius_from_counts(n - misses, n, 1.0, alpha)
        q = (arb(radius) / arb(2).sqrt()).erfc() / 2
        term = tail = (1 - q) ** n
        for k in range(misses):
            term *= q / (1 - q) * (n - k) / (k + 1)
            tail += term
        assert tail <= arb(alpha), f"radius {radius} of {misses} misses is too large"


def exact_share(flint, name, radius, scale):
    """P(the class) at which this radius is just certified, as an interval that holds it."""
    r = flint.arb(radius) / flint.arb(scale)
    return {
        "gaussian": lambda: 1 - (r / flint.arb(2).sqrt()).erfc() / 2,
        "uniform": lambda: (1 + r) / 2,
        "laplace": lambda: 1 - (-r).exp() / 2,
    }[name]()


@pytest.mark.parametrize("name", NOISES.own_names())
@pytest.mark.parametrize(
    ("n", "scale"),
    [(100, 0.25), (1_000, 0.25), (1_000, 2.0), (10**5, 1.0), (10**7, 1.0), (10**9, 1.0)],
)
def test_no_radius_under_any_noise_exceeds_the_exact_one(name, n, scale):
    """P(Bin(n, share of the radius) >= hits) <= alpha, by rigorous intervals."""
    flint = pytest.importorskip("flint", reason="python-flint gives rigorous bounds")
    flint.ctx.prec, noise = 160, NOISES.get(name)(scale)
    for alpha, misses in [(a, m) for a in (1e-5, 1e-3, 0.05) for m in range(25)]:
        radius = radius_from_counts(n - misses, n, noise, alpha)

        def tail(radius, misses=misses):
            p = exact_share(flint, name, radius, scale)
            if not p < 1:
                return flint.arb(1)
            term = total = p**n
            for k in range(misses):
                term *= (1 - p) / p * (n - k) / (k + 1)
                total += term
            return total

        assert tail(radius) <= flint.arb(alpha), f"{radius} of {misses} misses is too large"
        if radius:
            assert tail(radius + 1e-7 * scale) > flint.arb(alpha), "needlessly small"


@pytest.mark.parametrize("name", NOISES.own_names())
@pytest.mark.parametrize("n", [50, 1_000])
def test_what_a_radius_needs_under_any_noise(name, n):
    noise = NOISES.get(name)(0.3)
    most = max_radius(noise, n, 0.001)
    assert 0 < most <= noise.radius(0.001 ** (1 / n)) + 1e-12
    for radius in np.linspace(0.0, most, 7).tolist():
        hits = hits_needed(noise, radius, n, 0.001)
        assert hits is not None
        assert radius_from_counts(hits, n, noise, 0.001) >= radius
        below = radius_from_counts(hits - 1, n, noise, 0.001)
        assert below < radius or below == 0.0
        least = minimal_n(noise, radius, 0.001)
        assert least <= n
        assert max_radius(noise, least, 0.001) >= radius
        assert least == smallest_n(0.001) or max_radius(noise, least - 1, 0.001) < radius
    assert hits_needed(noise, most + 1e-9, n, 0.001) is None


def test_a_uniform_pixel_never_shows_more_than_its_width():
    with pytest.raises(ValueError, match=r"under uniform half_width=0\.5 .* larger half_width"):
        minimal_n(Uniform(0.5), 0.5, 0.001)
    # Not even where the exact formula would need 7 x 10^9 samples: the margin is larger.
    with pytest.raises(ValueError, match="expected a radius that some n certifies"):
        minimal_n(Uniform(0.5), 0.5 * (1 - 1e-9), 0.001)
    assert max_radius(Uniform(0.5), 10**9, 0.001) < 0.5


@pytest.mark.parametrize("name", NOISES.own_names())
def test_a_scale_of_zero_certifies_nothing(name):
    noise = NOISES.get(name)(0.0)
    for call in (
        lambda: radius_from_counts(9, 10, noise, 0.1),
        lambda: null_share(noise, 0.1),
        lambda: minimal_n(noise, 0.1, 0.001),
        lambda: hits_needed(noise, 0.0, 10, 0.1),
        lambda: max_radius(noise, 10, 0.1),
    ):
        with pytest.raises(ValueError, match=f"expected a finite {noise.scale_name} > 0"):
            call()


def test_a_number_is_the_sigma_of_gaussian_noise():
    hits = np.arange(500, 1_001)
    by_name = radius_from_counts(hits, 1_000, Gaussian(0.25), 0.001)
    np.testing.assert_array_equal(by_name, radius_from_counts(hits, 1_000, 0.25, 0.001))
    # as the version before noise was a distribution gave them, to the bit
    assert radius_from_counts(990, 1_000, 0.25, 0.001) == float.fromhex(BEFORE[0])
    assert radius_from_counts(60_000, 100_000, 0.5, 0.001) == float.fromhex(BEFORE[1])
    assert null_share(0.5, 1.0, total_variation=6e-14) == float.fromhex(BEFORE[2])


def test_margins_grow_with_sigma():
    hits = np.arange(50_600, 50_700)
    in_sigmas = radius_from_counts(hits, 100_000, 1.0, 0.001)
    np.testing.assert_allclose(
        radius_from_counts(hits, 100_000, 1e4, 0.001), 1e4 * in_sigmas, rtol=1e-13, atol=1e-11
    )


def test_an_alpha_too_small_for_the_arithmetic_is_refused():
    assert (
        0.0
        < radius_from_counts(9_967, 10_000, 1.0, 1e-199)
        < radius_from_counts(9_967, 10_000, 1.0, 1e-100)
    )
    with pytest.raises(ValueError, match="alpha >= 1e-200"):
        radius_from_counts(9_967, 10_000, 1.0, 1e-300)


@given(
    n=st.integers(1, 5_000),
    data=st.data(),
    alpha=st.floats(1e-6, 0.4),
    sigma=st.floats(0.05, 2.0),
)
@settings(max_examples=60, deadline=None)
def test_more_hits_or_confidence_never_mean_a_smaller_radius(n, data, alpha, sigma):
    hits = data.draw(st.integers(0, n))
    radius = radius_from_counts(hits, n, sigma, alpha)
    assert 0.0 <= radius <= max_radius(sigma, n, alpha)
    assert radius_from_counts(min(hits + 1, n), n, sigma, alpha) >= radius
    assert radius_from_counts(hits, n, sigma, min(2 * alpha, 0.9)) >= radius
    assert radius_from_counts(hits, n, sigma, alpha, total_variation=1e-4) <= radius
    assert (radius > 0.0) <= (lower_confidence_bound(hits, n, alpha) > 0.5)


@given(n=st.integers(20, 20_000), share=st.floats(0.0, 1.2), alpha=st.floats(1e-5, 0.1))
@settings(max_examples=60, deadline=None)
def test_the_hits_needed_are_the_fewest_that_certify(n, share, alpha):
    radius = share * max_radius(0.5, n, alpha)
    hits = hits_needed(0.5, radius, n, alpha)
    if hits is None:
        assert max_radius(0.5, n, alpha) < max(radius, 1e-300)
    else:
        assert radius_from_counts(hits, n, 0.5, alpha) >= radius
        assert not radius_from_counts(hits - 1, n, 0.5, alpha) >= radius > 0.0
        assert radius_from_counts(hits, n, 0.5, alpha) > 0.0
        below = radius_from_counts(hits - 1, n, 0.5, alpha)
        assert below < radius or below == 0.0


@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0, 1.7])
def test_minimal_n_is_minimal(radius):
    n = minimal_n(0.5, radius, 0.001)
    assert check_n(n, 0.001) == n
    assert max_radius(0.5, n, 0.001) >= radius
    assert n == smallest_n(0.001) or max_radius(0.5, n - 1, 0.001) < radius


@pytest.mark.parametrize(
    ("noise", "radius"),
    [
        (Gaussian(1.0), 6.5),
        (Gaussian(0.25), 1.95),
        (Uniform(0.5), 0.5 * (1 - 1e-8)),
        (Laplace(0.5), 14.0),
    ],
)
def test_minimal_n_of_a_far_radius_is_found_at_once(noise, radius):
    n = minimal_n(noise, radius, 0.001)
    assert n > 10**9
    assert max_radius(noise, n, 0.001) >= radius > max_radius(noise, n - 1, 0.001)


def test_total_variation_is_taken_off_the_vote_share():
    p = lower_confidence_bound(980, 1_000, 0.001)
    shifted = radius_from_counts(980, 1_000, 0.5, 0.001, total_variation=0.01)
    assert shifted == pytest.approx(0.5 * stats.norm.ppf(p - 0.01), abs=1e-9)
    assert null_share(0.5, 1.0, total_variation=0.01) == pytest.approx(
        stats.norm.cdf(2.0) + 0.01, abs=1e-12
    )
    assert null_share(0.5, 1.0) >= stats.norm.cdf(2.0)
    assert minimal_n(0.5, 1.0, 0.001, total_variation=1e-3) > 301
    with pytest.raises(ValueError, match="radius that some n certifies"):
        minimal_n(0.5, 1.0, 0.001, total_variation=0.1)


def test_radii_lie_below_the_textbook_formula_and_hardly_so():
    hits = np.arange(50_600, 100_001, 100)
    textbook = 0.5 * stats.norm.isf(1.0 - stats.beta.ppf(0.001, hits, 100_000 - hits + 1))
    gap = textbook - radius_from_counts(hits, 100_000, 0.5, 0.001)
    assert (gap > 0.0).all()
    assert gap.max() < 1e-10


@pytest.mark.parametrize(
    ("top", "second"),
    [(0, 0), (1, 0), (1, 1), (5, 5), (10, 0), (11, 0), (60, 40), (3, 8), (50_400, 49_600)],
)
def test_p_values_are_scipys(top, second):
    expected = stats.binomtest(top, top + second).pvalue if top + second else 1.0
    assert binomial_p_value(top, second) == pytest.approx(expected, rel=1e-9)
    assert binomial_p_value(np.array([top]), np.array([second]))[0] == binomial_p_value(top, second)


@pytest.mark.parametrize(("alpha", "smallest"), [(0.001, 11), (0.05, 6), (0.5, 2), (2**-9, 10)])
def test_an_n_that_can_never_certify_is_refused_with_the_smallest_that_can(alpha, smallest):
    assert check_n(smallest, alpha) == smallest
    assert binomial_p_value(smallest, 0) <= alpha < binomial_p_value(smallest - 1, 0)
    with pytest.raises(ValueError, match=rf"expected n >= {smallest} at alpha"):
        check_n(smallest - 1, alpha)


@pytest.mark.parametrize(
    ("successes", "n"),
    [
        (-1, 10),
        (11, 10),
        (0, 0),
        (0.5, 10),
        (np.array([3, 12]), 10),
        (np.array([3, -1]), 10),
        (0, np.array([10, 0])),
        (3, 10.0),
        (True, 10),
    ],
)
def test_counts_that_are_none_are_refused(successes, n):
    with pytest.raises(ValueError, match="expected"):
        radius_from_counts(successes, n, 0.5, 0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.0}, "alpha"),
        ({"noise": 0.0}, "sigma > 0"),
        ({"noise": math.nan}, "sigma > 0"),
        ({"total_variation": 0.5}, "total variation"),
        ({"total_variation": -1e-9}, "total variation"),
    ],
)
def test_bad_settings_never_yield_a_radius(options, message):
    settings_ = {"noise": 0.5, "alpha": 0.001, **options}
    with pytest.raises(ValueError, match=message):
        radius_from_counts(9, 10, **settings_)


@pytest.mark.parametrize("radius", [-0.1, math.inf, math.nan])
def test_a_radius_that_is_none_is_refused(radius):
    with pytest.raises(ValueError, match="radius"):
        hits_needed(0.5, radius, 100, 0.001)


@pytest.mark.parametrize("n", [1000.0, math.nan, True, "1000", None])
def test_a_number_of_samples_is_an_integer(n):
    with pytest.raises(ValueError, match="expected an integer n, got"):
        check_n(n, 0.001)
    assert type(check_n(np.int64(1000), 0.001)) is int


def test_the_smallest_n_is_known_for_every_alpha():
    assert [smallest_n(2.0**-k) for k in (1, 9, 10, 500, 1074)] == [2, 10, 11, 501, 1075]
    for alpha in (0.05, 0.01, 0.001, 1e-5, 1e-10):
        n = smallest_n(alpha)
        assert 2.0 * 0.5**n <= alpha < 2.0 * 0.5 ** (n - 1)
