from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from rsmooth.noise import GridSampler
from rsmooth.noise.thresholds import (
    BITS,
    LARGEST_SIGMA,
    SLACK,
    decimal_sigma,
    thresholds,
    upper_tail,
)

mpmath = pytest.importorskip(
    "mpmath", reason="the independent high-precision computation needs mpmath"
)


def exact_tail(x: Fraction):
    """1 - Phi(x) to about 90 digits, by another formula (mpmath's erfc)."""
    with mpmath.workdps(100):
        return mpmath.erfc(mpmath.mpf(x.numerator) / x.denominator / mpmath.sqrt(2)) / 2


@pytest.mark.parametrize(
    "x",
    [
        Fraction(1, 5100),
        Fraction(1, 510),
        Fraction(3, 7),
        Fraction(1),
        Fraction(5),
        Fraction(919, 100),
        Fraction(1399, 100),
        Fraction(141, 10),
        Fraction(10**4),
    ],
)
def test_upper_tail_against_mpmath(x):
    with mpmath.workdps(100):
        assert abs(upper_tail(x) - exact_tail(x) * mpmath.mpf(2) ** BITS) < SLACK


@pytest.mark.parametrize("sigma", ["0.12", "0.25", "1"])
def test_thresholds_are_the_nearest_integers(sigma):
    limits = thresholds(Decimal(sigma))
    values, lowest = limits.values.tolist(), limits.lowest
    assert len(values) == -2 * lowest  # k from lowest to -lowest
    last = len(values) - 1
    with mpmath.workdps(100):
        for index in {0, 1, last // 3, last // 2, last // 2 + 1, last - 40, last - 1, last}:
            x = Fraction(2 * (lowest + index) + 1, 510) / Fraction(
                sigma
            )  # T_j at j = lowest + index
            phi = exact_tail(-x) if x < 0 else 1 - exact_tail(x)
            assert values[index] == int(mpmath.nint(mpmath.mpf(2) ** 64 * phi)), index
        beyond = Fraction(2 * -lowest + 1, 510) / Fraction(sigma)
        assert mpmath.nint(mpmath.mpf(2) ** 64 * exact_tail(beyond)) == 0


def test_thresholds_are_symmetric_ascending_and_inside_64_bits():
    values = thresholds(Decimal("0.5")).values.tolist()
    assert values == sorted(values)
    assert values[0] > 0
    assert values[-1] < 2**64
    assert [2**64 - value for value in reversed(values)] == values


@pytest.mark.parametrize("sigma", ["0.02", "0.12"])
def test_total_variation_bounds_the_exact_distance_closely(sigma):
    limits = thresholds(Decimal(sigma))
    edges = [0, *limits.values.tolist(), 2**64]
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        for k, (low, high) in enumerate(pairwise(edges), start=limits.lowest):
            left, right = (Fraction(2 * k + s, 510) / Fraction(sigma) for s in (-1, 1))
            ideal = exact_tail(left) - exact_tail(right)
            total += abs(mpmath.mpf(high - low) / 2**64 - ideal)
        total += 2 * exact_tail(
            Fraction(-2 * limits.lowest + 1, 510) / Fraction(sigma)
        )  # cells that are never drawn
        bound = mpmath.mpf(limits.total_variation.numerator) / limits.total_variation.denominator
        assert total / 2 <= bound < total / 2 * (1 + mpmath.mpf("1e-12"))


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
    assert decimal_sigma(0.1) == Decimal("0.1")
    a, b, c = GridSampler(0.25), GridSampler("0.25"), GridSampler(" 2.50e-1")
    assert a.fingerprint == b.fingerprint == c.fingerprint
    assert a.tag == b.tag == c.tag
    assert a.fingerprint in a.tag
    assert "sigma=0.25 " in a.tag
    assert GridSampler(np.float64(0.25)).fingerprint == a.fingerprint
    assert GridSampler("0.2500000001").fingerprint != a.fingerprint


@pytest.mark.parametrize("sigma", [0, -0.25, float("nan"), float("inf"), "a quarter", ""])
def test_a_sigma_that_is_no_positive_number_is_refused(sigma):
    with pytest.raises(ValueError, match=r"expected .*sigma"):
        GridSampler(sigma)


def test_the_largest_sigma_keeps_pixel_plus_noise_within_int16():
    assert (
        upper_tail(Fraction(92, 10)) < 1 << BITS - 65
    )  # rounds to no threshold: the noise stays below 9.2 sigma
    assert 255 + 9.2 * 255 * LARGEST_SIGMA < 2**15
    with pytest.raises(ValueError, match=r"sigma up to 13 .*got 13.01"):
        GridSampler(13.01)


def test_a_tiny_sigma_never_moves_a_pixel():
    limits = thresholds(Decimal("0.0001"))
    assert (len(limits.values), limits.lowest) == (0, 0)
    assert limits.total_variation < 1e-37
