"""Interval bound propagation: the ends of every node of a network, over a box of images.

Gowal et al. 2018 (arXiv:1810.12715), section 3; Mirman et al. 2018. An affine layer maps centre c
and radius r of a box to Wc + b and |W| r. ReLU and pooling map both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from rsmooth.bounds.graph import Graph
from rsmooth.bounds.layers import Affine, Input, MaxPool, Op, Relu, Sum
from rsmooth.bounds.rounding import TINY, UNIT, gamma, outward


class Interval:
    """lower <= z <= upper, each (B, ...).

        Interval(x - 0.1, x + 0.1).radius           # 0.1 everywhere

    size: of an affine node with rounding, |W| reach + |b| (B, ...); see ``rsmooth.bounds.rounding``
    """

    size: Tensor | None = None

    def __init__(self, lower: Tensor, upper: Tensor) -> None:
        # As if computed already: an interval has either two ends or centre and radius.
        self.__dict__.update(lower=lower, upper=upper)

    @classmethod
    def around(cls, center: Tensor, radius: Tensor) -> Interval:
        """The interval of a centre and a radius >= 0."""
        interval = cls.__new__(cls)
        interval.__dict__.update(center=center, radius=radius)
        return interval

    @cached_property
    def lower(self) -> Tensor:
        return self.center - self.radius

    @cached_property
    def upper(self) -> Tensor:
        return self.center + self.radius

    @cached_property
    def center(self) -> Tensor:
        return (self.upper + self.lower) / 2

    @cached_property
    def radius(self) -> Tensor:
        return (self.upper - self.lower) / 2

    @cached_property
    def reach(self) -> Tensor:
        """The largest |z|."""
        return torch.maximum(self.lower.abs(), self.upper.abs())

    @property
    def shape(self) -> torch.Size:
        """(B, ...)."""
        known: Tensor = self.__dict__["lower" if "lower" in self.__dict__ else "center"]
        return known.shape

    def to(self, dtype: torch.dtype) -> Interval:
        """The same interval in numbers of another type, before anything is computed from it."""
        pair = ("lower", "upper") if "lower" in self.__dict__ else ("center", "radius")
        first, second = (self.__dict__[name] for name in pair)
        if first.dtype == dtype:
            return self
        make = Interval if pair[0] == "lower" else Interval.around
        return make(first.to(dtype), second.to(dtype))

    def intersect(self, other: Interval) -> Interval:
        """What two intervals of the same values have in common."""
        return Interval(
            torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        )


def pixel_box(
    x: Tensor,
    epsilon: float | Tensor,
    clip: tuple[float, float] | None = (0.0, 1.0),
    *,
    rounding: bool = False,
) -> Interval:
    """The box [x - epsilon, x + epsilon] of images (B, C, H, W), within ``clip``.

        box = pixel_box(x, 2 / 255)

    epsilon: in [0, 1] pixel units, a number or a tensor that broadcasts to x.
    clip: the ends of pixel values; None for a box that may leave them.
    rounding: whether to move the ends outward by one float, so that they hold in exact arithmetic.

    ValueError for a ``clip`` whose ends are not in order.
    """
    if clip is not None and not clip[0] < clip[1]:
        raise ValueError(f"expected clip (low, high) with low < high, or None, got {clip!r}")
    lower, upper = x - epsilon, x + epsilon
    if rounding:
        lower, upper = outward(lower, upper)
    if clip is not None:
        lower, upper = lower.clamp(min=clip[0]), upper.clamp(max=clip[1])
    return Interval(lower, upper)


def interval_bounds(graph: Graph, box: Interval, *, rounding: float = 0.0) -> list[Interval]:
    """The interval of every node of a graph without modes, in its order.

        bounds = interval_bounds(trace_network(net).fixed(), pixel_box(x, 2 / 255))
        bounds[-1].lower                                    # of the logits

    graph: from ``fixed`` or ``clean_pass``.
    rounding: how often to add the rounding error of this computation, which then is in float64; 1
        is enough for bounds that hold in exact arithmetic.
    """
    found: list[Interval] = []
    for node in graph.nodes:
        inputs = [found[position] for position in node.inputs]
        plain = _image(node.op, inputs, box)
        found.append(_widened(node.op, inputs, plain, rounding) if rounding else plain)
    return found


def _image(op: Op, inputs: Sequence[Interval], box: Interval) -> Interval:
    if isinstance(op, Input):
        return box
    if isinstance(op, Sum):
        first, second = inputs
        if len(first.shape) != len(second.shape):  # broadcasting would mix images
            raise ValueError(
                f"expected sums of values with the same axes, got (B, ...) of {tuple(first.shape)} "
                f"and {tuple(second.shape)}; give the smaller one its axes, e.g. by x[:, :, None]"
            )
        return Interval(first.lower + second.lower, first.upper + second.upper)
    (z,) = inputs
    if isinstance(op, Affine):
        return Interval.around(op.apply(z.center), op.spread(z.radius))
    if isinstance(op, Relu):
        return Interval(z.lower.relu(), z.upper.relu())
    assert isinstance(op, MaxPool)
    return Interval(op.pool(z.lower), op.pool(z.upper))


def _widened(op: Op, inputs: Sequence[Interval], z: Interval, rounding: float) -> Interval:
    """The interval with the rounding error of its computation; ReLU and maxima make none."""
    if isinstance(op, Sum):
        error = rounding * (4 * UNIT * (inputs[0].reach + inputs[1].reach) + TINY)
        return Interval(z.lower - error, z.upper + error)
    if not isinstance(op, Affine):
        return z
    (source,) = inputs
    size = op.spread(source.reach) + op.offset_size(z.center)
    error = rounding * (gamma(source.shape[1:].numel()) * size + TINY)
    wider = Interval(z.lower - error, z.upper + error)
    wider.size = size
    return wider
