import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsmooth.records.norms import covering_radius, l2_radius_for, linf_to_l2, radius_in_norm

CIFAR, IMAGENET = 3 * 32 * 32, 3 * 224 * 224


def test_published_conversions():
    assert linf_to_l2(2 / 255, CIFAR) == pytest.approx(0.4347, abs=5e-5)
    assert linf_to_l2(1 / 255, IMAGENET) == pytest.approx(1.5215, abs=5e-5)
    assert (
        radius_in_norm(0.5, CIFAR, 1)
        == radius_in_norm(0.5, CIFAR, 2)
        == l2_radius_for(0.5, CIFAR, 1)
        == 0.5
    )


@given(radius=st.floats(1e-6, 10.0), dimension=st.integers(1, 200_000))
@settings(max_examples=200, deadline=None)
def test_rounding_errs_to_the_safe_side(radius, dimension):
    # exact arithmetic on the squares: the corner of the l_inf ball lies within the l2 ball, and
    # hardly inside of it
    inner, outer = (
        Fraction(radius_in_norm(radius, dimension, math.inf)),
        Fraction(linf_to_l2(radius, dimension)),
    )
    if dimension > 1:
        assert (
            inner**2 * dimension
            <= Fraction(radius) ** 2
            <= inner**2 * dimension * (1 + Fraction(1, 10**13))
        )
        assert outer**2 >= Fraction(radius) ** 2 * dimension >= outer**2 * (1 - Fraction(1, 10**13))
    else:
        assert inner == outer == Fraction(radius)


@pytest.mark.parametrize("source", [1.0, 1.5, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, 3.0, 8.0, math.inf])
def test_the_ball_is_contained_and_could_not_be_larger(norm, source):
    dimension, radius = 50, 0.7
    found = radius_in_norm(radius, dimension, norm, source=source)
    rng = np.random.default_rng(0)
    points = [*rng.normal(size=(200, dimension)), np.ones(dimension), np.eye(dimension)[0]]
    lengths = [
        np.linalg.norm(point / np.linalg.norm(point, norm) * found, source) for point in points
    ]
    assert max(lengths) <= radius * (1 + 4e-15)  # the points themselves are rounded
    assert max(lengths) >= radius * (1 - 1e-12)  # a corner touches
    again = covering_radius(found, dimension, norm, target=source)
    assert again == pytest.approx(radius, rel=1e-13)


@given(radius=st.floats(1e-6, 10.0), dimension=st.integers(2, 200_000))
@settings(max_examples=100, deadline=None)
def test_linf_to_l1_is_the_dimension_in_exact_arithmetic(radius, dimension):
    inner = Fraction(radius_in_norm(radius, dimension, "linf", source="l1"))
    outer = Fraction(covering_radius(radius, dimension, "linf", target="l1"))
    assert inner * dimension <= Fraction(radius) <= inner * dimension * (1 + Fraction(1, 10**13))
    assert outer >= Fraction(radius) * dimension >= outer * (1 - Fraction(1, 10**13))


@pytest.mark.parametrize(
    ("norm", "source"),
    [("l1", "l1"), ("l1", "l2"), ("l1", "linf"), ("l2", "l2"), ("l2", "linf"), ("linf", "linf")],
)
def test_a_ball_of_a_smaller_norm_keeps_its_radius_to_the_bit(norm, source):
    assert radius_in_norm(2 / 255, CIFAR, norm, source=source) == 2 / 255
    assert covering_radius(2 / 255, CIFAR, norm, target=source) == 2 / 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 4, 2), "radius"),
        ((1.0, 0, 2), "dimension"),
        ((1.0, 4, 0.5), "norm"),
        ((1.0, 4, math.nan), "norm"),
        ((1.0, 4, "l3"), "expected a norm l1, l2, linf or p >= 1, got 'l3'"),
    ],
)
def test_bad_geometry_is_refused(arguments, message):
    for convert in (radius_in_norm, l2_radius_for):
        with pytest.raises(ValueError, match=message):
            convert(*arguments)


@pytest.mark.parametrize("dimension", [math.nan, math.inf, 2.5, True, "4", None, [4]])
@pytest.mark.parametrize("function", [radius_in_norm, covering_radius])
def test_a_dimension_is_a_whole_number(function, dimension):
    """Of NaN values, an linf radius would be NaN; of too few, too large."""
    with pytest.raises(ValueError, match="expected an integer dimension, got"):
        function(0.5, dimension, "linf")
