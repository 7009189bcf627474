"""Bounds of the rounding error of bounds, so that what they say holds in exact arithmetic.

Let u = 2^-53. A sum of n products, added in any order, is wrong by at most g_n = n u / (1 - n u)
times the sum of their sizes (Higham 2002, section 3.1). So a computed W x + b is wrong by at most
g_{n+1} S, where S = |W| |x| + |b|, whatever cancels in it. ``gamma`` gives more than twice what is
needed, which leaves room for the rounding of S, of r, of the constants of batch norm (at most 8 u
of their sizes), and of the sum of the errors itself.

Intervals: the error of an affine node is added to its radius. Rows: the rows A that a step computes
from the rows before are themselves exact floats. What matters is that A z + t stays below what it
replaces. If rows A at a node z = W x + b become A' = fl(A W), then A' x differs from A W x by at
most g |A| |W| |x| <= g |A| S, since |x| is at most the reach of its interval. So each step costs
one such term, which is subtracted from the bound. No error has to be carried in A, in slopes (any
slope of the lower line within [0, 1] is sound, and so is any upper line that lies above both ends),
or in intercepts (they are rounded up).

The terms need float64, products that are summed as they are (no Winograd or FFT convolution, no
TF32), and no value near the ends of the exponent range. An entry of A that underflows is off by up
to 5e-324, which counts ``reach`` times. So a reach beyond HUGE proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rsmooth.plumbing.shared import SharedSetting

UNIT = 2.0**-53
# More than all that underflows in one step, with weights up to LARGEST.
TINY = 1e-250
LARGEST = 1e30
# With so large values, and 1e12 products in a step, what underflows in rows stays below TINY.
HUGE = 1e50


def gamma(terms: int) -> float:
    """Over twice the relative error of a sum of so many products and a few more operations."""
    return 4.0 * (terms + 32) * UNIT


def beyond(reach: Tensor) -> Tensor:
    """Infinity (B, 1) for images whose values (B, ...) may be larger than HUGE, else 0."""
    largest = reach.flatten(1).amax(dim=1, keepdim=True)
    return torch.where(largest > HUGE, torch.inf, 0.0).to(reach)


def outward(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends moved by one float, for ends that were rounded once."""
    infinity = torch.full_like(lower, torch.inf)
    return lower.nextafter(-infinity), upper.nextafter(infinity)


_cudnn = SharedSetting(torch.backends.cudnn, "enabled", False)


@contextmanager
def exact_products() -> Iterator[None]:
    """A context without autocast and without the algorithms of cuDNN, some of which transform.

    No bound of one thread meets cuDNN because another thread has left.
    """
    with _cudnn.held(), no_autocast():
        yield


@contextmanager
def no_autocast() -> Iterator[None]:
    """A context in which no autocast shortens the numbers of a bound."""
    with (
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield
