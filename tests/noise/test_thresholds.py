"""Thresholds against mpmath: every one the nearest integer, for every registered distribution."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from rsmooth.noise import Gaussian, GridSampler, Laplace, Uniform
from rsmooth.noise.thresholds import (
    BITS,
    LARGEST_NOISE,
    SLACK,
    STEP,
    _nearest,
    decimal_scale,
    exponential_tail,
    gaussian_tail,
)

mpmath = pytest.importorskip(
    "mpmath", reason="the independent high-precision computation needs mpmath"
)
from tests.noise.oracles import NAMES, ORACLES, make  # noqa: E402  (imports mpmath)

every_noise = pytest.mark.parametrize("name", NAMES)


def exact_tail(name, x: Fraction):
    """P(noise > x) at scale 1 to about 90 digits, by another formula; also for x < 0."""
    upper = ORACLES[name].tail(mpmath.mpf(abs(x.numerator)) / x.denominator)
    return upper if x >= 0 else 1 - upper


@every_noise
@pytest.mark.parametrize(
    "x",
    [
        Fraction(0),
        Fraction(1, 5100),
        Fraction(1, 510),
        Fraction(3, 7),
        Fraction(1),
        Fraction(5),
        Fraction(919, 100),
        Fraction(1399, 100),
        Fraction(141, 10),
        Fraction(104),
        Fraction(10**4),
    ],
)
def test_upper_tail_against_mpmath(name, x):
    with mpmath.workdps(100):
        exact = exact_tail(name, x) * mpmath.mpf(2) ** BITS
        assert abs(make(name, 1.0).upper_tail(x) - exact) < SLACK


def test_tails_by_their_own_names():
    assert gaussian_tail(Fraction(0)) == 1 << BITS - 1
    assert abs(exponential_tail(Fraction(0)) - (1 << BITS)) < SLACK
    assert gaussian_tail(Fraction(15)) == exponential_tail(Fraction(105)) == 0


@every_noise
@pytest.mark.parametrize("scale", ["0.12", "0.25", "1"])
def test_thresholds_are_the_nearest_integers(name, scale):
    limits = make(name, float(scale)).thresholds()
    values, lowest = limits.values.tolist(), limits.lowest
    assert len(values) == -2 * lowest  # k from lowest to -lowest
    last = len(values) - 1
    places = {0, 1, 2, 3, last // 3, last // 2, last // 2 + 1, last - 20, last - 1, last}
    with mpmath.workdps(100):
        for index in places & set(range(last + 1)):
            x = Fraction(2 * (lowest + index) + 1, 510) / Fraction(scale)
            exact = mpmath.nint(mpmath.mpf(2) ** 64 * (1 - exact_tail(name, x)))
            assert values[index] == int(exact), index  # T_j at j = lowest + index
        beyond = Fraction(2 * -lowest + 1, 510) / Fraction(scale)
        assert mpmath.nint(mpmath.mpf(2) ** 64 * exact_tail(name, beyond)) == 0


@every_noise
def test_thresholds_are_symmetric_ascending_and_inside_64_bits(name):
    values = make(name, 0.5).thresholds().values.tolist()
    assert values == sorted(values)
    assert values[0] > 0
    assert values[-1] < 2**64
    assert [2**64 - value for value in reversed(values)] == values


@every_noise
@pytest.mark.parametrize("scale", ["0.02", "0.12"])
def test_total_variation_bounds_the_exact_distance_closely(name, scale):
    limits = make(name, float(scale)).thresholds()
    edges = [0, *limits.values.tolist(), 2**64]
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        for k, (low, high) in enumerate(pairwise(edges), start=limits.lowest):
            left, right = (Fraction(2 * k + s, 510) / Fraction(scale) for s in (-1, 1))
            ideal = exact_tail(name, left) - exact_tail(name, right)
            total += abs(mpmath.mpf(high - low) / 2**64 - ideal)
        # cells that are never drawn
        total += 2 * exact_tail(name, Fraction(-2 * limits.lowest + 1, 510) / Fraction(scale))
        bound = mpmath.mpf(limits.total_variation.numerator) / limits.total_variation.denominator
        # the slack of the computation, 2^-128 per threshold, shows where the distance is tiny
        slack = mpmath.mpf(8 * (len(edges) + 2) * SLACK) / 2**BITS
        assert total / 2 <= bound < total / 2 * (1 + mpmath.mpf("1e-12")) + slack


def test_total_variation_of_images():
    sampler = GridSampler(0.5)
    assert sampler.total_variation(0) == 0.0
    assert 6.3e-14 < sampler.total_variation(3072) < 6.5e-14
    assert sampler.total_variation(150_528) == pytest.approx(
        49 * sampler.total_variation(3072), rel=1e-12
    )
    assert sampler.total_variation(10**40) == 1.0
    with pytest.raises(ValueError, match="d >= 0"):
        sampler.total_variation(-1)


def test_sigma_is_the_decimal_that_it_prints_as():
    assert str(decimal_scale(0.1, "sigma")) == "0.1"
    a, b, c = GridSampler(0.25), GridSampler("0.25"), GridSampler(" 2.50e-1")
    assert a.fingerprint == b.fingerprint == c.fingerprint == "b556da80d53b96bf"
    assert a.tag == b.tag == c.tag
    assert a.fingerprint in a.tag
    assert a.tag.startswith("grid-1/255 sigma=0.25 ")  # as earlier records have it
    assert GridSampler(np.float64(0.25)).fingerprint == a.fingerprint
    assert GridSampler("0.2500000001").fingerprint != a.fingerprint


def test_every_noise_has_a_tag_of_its_own():
    tags = {GridSampler(make(name, 0.25)).tag for name in NAMES}
    assert len(tags) == len(NAMES)
    assert "grid-1/255 uniform half_width=0.25 " in GridSampler(Uniform(0.25)).tag


@pytest.mark.parametrize("sigma", [0, -0.25, float("nan"), float("inf")])
def test_a_sigma_that_is_no_positive_number_is_refused(sigma):
    with pytest.raises(ValueError, match=r"expected .*sigma"):
        GridSampler(sigma)


@pytest.mark.parametrize("text", ["a quarter", ""])
def test_a_scale_that_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="expected scale as a decimal number"):
        decimal_scale(text, "scale")


@pytest.mark.parametrize(
    ("kind", "largest", "too_large"),
    [(Gaussian, 13.8, 14.0), (Laplace, 2.8, 3.0), (Uniform, 127.0, 128.0)],
)
def test_the_largest_scale_keeps_pixel_plus_noise_within_int16(kind, largest, too_large):
    limits = kind(largest).thresholds()
    assert 0.9 * LARGEST_NOISE < -limits.lowest <= LARGEST_NOISE
    assert 255 + LARGEST_NOISE == 2**15 - 1
    with pytest.raises(ValueError, match=r"at most 32512 levels of 1/255, .* make it smaller"):
        kind(too_large).thresholds()


@every_noise
def test_a_tiny_scale_never_moves_a_pixel(name):
    limits = make(name, 0.00001).thresholds()
    assert (len(limits.values), limits.lowest) == (0, 0)
    assert limits.total_variation < 1e-37


def test_all_of_a_noise_that_is_rounded_away_is_its_total_variation():
    sigma = Fraction("0.000209")  # moves a pixel with probability 2^-67
    limits = Gaussian(float(sigma)).thresholds()
    assert (limits.values.size, limits.lowest) == (0, 0)
    moved = Fraction(2 * gaussian_tail(Fraction(1, 510) / sigma), 2**BITS)
    assert 2.0**-68 < moved <= limits.total_variation <= moved * (1 + Fraction(1, 2**50))


def test_a_tie_within_the_error_of_a_tail_is_refused():
    tie = (5 << STEP) + (1 << (STEP - 1))
    for error in (-SLACK, 0, SLACK):
        with pytest.raises(ArithmeticError, match="too close to call"):
            _nearest(tie + error)
    assert [_nearest(tie - SLACK - 1), _nearest(tie + SLACK + 1)] == [5, 6]


def test_a_uniform_cell_at_the_edge_has_what_is_left_of_it():
    """[-0.5, 0.5] ends in the middle of no cell: 255 * 0.5 = 127.5, the upper edge of k = 127."""
    whole, part = Uniform(0.5).thresholds(), Uniform(0.501).thresholds()
    assert -whole.lowest == 127
    assert -part.lowest == 128
    assert part.values[0] / 2**64 == pytest.approx((0.501 - 0.5) / (2 * 0.501), rel=1e-9)
    assert math.isclose(float(whole.values[0]) / 2**64, 1 / 255, rel_tol=1e-12)
