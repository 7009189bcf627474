"""What an l2 certificate says in other norms, by containment of balls.

A ball of radius r in the l_p norm lies within the l2 ball of radius r for p <= 2, and within that
of radius r * d^(1/2 - 1/p) for p > 2 (d the number of values of an image), and in none smaller.
Radii are rounded down on the way out of l2 and up on the way into it.
"""

from __future__ import annotations

import math

from rsmooth.plumbing.numbers import check_radius

# relative; twice what the two roundings of a power and a product can err by, and more than an ulp
_MARGIN = 1e-15


def radius_in_norm(radius: float, dimension: int, norm: float) -> float:
    """Largest radius r such that the l_norm ball of radius r lies within the l2 ball of ``radius``,
    rounded down.

    ``norm`` is any p >= 1, math.inf included: radius for p <= 2, radius / sqrt(d) for p = inf.
    """
    stretch = _stretch(dimension, norm)
    return (
        check_radius(radius)
        if stretch == 1.0
        else check_radius(radius) / stretch * (1.0 - 4 * _MARGIN)
    )


def l2_radius_for(epsilon: float, dimension: int, norm: float) -> float:
    """The l2 radius that covers every perturbation of l_norm size ``epsilon``, rounded up: what has
    to be certified.
    """
    stretch = _stretch(dimension, norm)
    return (
        check_radius(epsilon)
        if stretch == 1.0
        else check_radius(epsilon) * stretch * (1.0 + 4 * _MARGIN)
    )


def linf_to_l2(epsilon: float, dimension: int) -> float:
    """The l2 radius that covers every perturbation of at most ``epsilon`` a value: epsilon *
    sqrt(d), rounded up.
    """
    return l2_radius_for(epsilon, dimension, math.inf)


def _stretch(dimension: int, norm: float) -> float:
    """How far the corners of the unit l_norm ball stick out in l2."""
    if dimension < 1 or not norm >= 1.0:
        raise ValueError(
            f"expected a dimension >= 1 and a norm p >= 1, got {dimension} and {norm!r}"
        )
    return 1.0 if norm <= 2.0 else float(dimension) ** (0.5 - 1.0 / norm)
