"""What a certificate in one norm says in another, by containment of balls.

Let d be the number of values per image. The l_q ball of radius r is within the l_p ball of radius R
if and only if r <= R for q <= p, and r <= R * d^(1/q - 1/p) for q > p. Radii that result from a
certificate are rounded down. Radii that have to be certified are rounded up.
"""

from __future__ import annotations

import math

from rsmooth.plumbing.numbers import check_integer, check_radius

# Relative: twice the error of rounding a power and a product, and more than an ulp.
_MARGIN = 1e-15
_NAMES = {"l1": 1.0, "l2": 2.0, "linf": math.inf}

NormLike = str | float
"""A norm by name, "l1", "l2" or "linf", or as its p >= 1, math.inf included."""


def radius_in_norm(
    radius: float, dimension: int, norm: NormLike, *, source: NormLike = "l2"
) -> float:
    """The largest r for which the ``norm`` ball of r is within the ``source`` ball of ``radius``.

        radius_in_norm(0.5, 3072, "linf")                    # 0.5 / sqrt(3072)
        radius_in_norm(2 / 255, 3072, "l2", source="linf")   # 2/255: it holds for l2 as it is

    dimension: values per image, C * H * W.

    Rounded down. ValueError for another norm, a negative radius, or a dimension below 1.
    """
    stretch = _stretch(dimension, norm, source)
    return _times(radius, 1.0 / stretch, 1.0 - 4 * _MARGIN)


def covering_radius(
    epsilon: float, dimension: int, norm: NormLike, *, target: NormLike = "l2"
) -> float:
    """The ``target`` radius that covers every perturbation of ``norm`` size ``epsilon``.

        covering_radius(2 / 255, 3072, "linf")               # 0.43471...: what l2 has to certify

    Rounded up. Arguments and errors are those of ``radius_in_norm``.
    """
    return _times(epsilon, _stretch(dimension, norm, target), 1.0 + 4 * _MARGIN)


def l2_radius_for(epsilon: float, dimension: int, norm: NormLike) -> float:
    """``covering_radius`` in l2."""
    return covering_radius(epsilon, dimension, norm)


def linf_to_l2(epsilon: float, dimension: int) -> float:
    """The l2 radius that covers every perturbation of at most ``epsilon`` per value, rounded up."""
    return covering_radius(epsilon, dimension, "linf")


def _times(radius: float, factor: float, margin: float) -> float:
    """Exact where the two balls touch everywhere on an axis: the factor is then 1."""
    return check_radius(radius) * (1.0 if factor == 1.0 else factor * margin)


def _stretch(dimension: int, norm: NormLike, other: NormLike) -> float:
    """The largest ``other`` norm within the unit ``norm`` ball: that of its corners, or 1."""
    inner, outer = _power(norm), _power(other)
    if check_integer(dimension, "dimension") < 1:
        raise ValueError(f"expected a dimension >= 1, got {dimension}; it is C * H * W")
    return 1.0 if inner <= outer else float(dimension) ** (1.0 / outer - 1.0 / inner)


def _power(norm: NormLike) -> float:
    power = _NAMES.get(norm, math.nan) if isinstance(norm, str) else float(norm)
    if not power >= 1.0:
        raise ValueError(f"expected a norm l1, l2, linf or p >= 1, got {norm!r}")
    return power
