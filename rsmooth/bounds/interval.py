"""Interval bound propagation: the ends of every node of a network, over a box of images.

Gowal et al. 2018 (arXiv:1810.12715), section 3; Mirman et al. 2018. An affine layer maps centre c
and radius r of a box to Wc + b and |W| r; ReLU and pooling map both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rsmooth.bounds.graph import Graph
from rsmooth.bounds.layers import Affine, Input, MaxPool, Op, Relu, Sum


@dataclass(frozen=True, eq=False)
class Interval:
    """lower <= z <= upper, each (B, ...)."""

    lower: Tensor
    upper: Tensor

    @cached_property
    def center(self) -> Tensor:
        return (self.upper + self.lower) / 2

    @cached_property
    def radius(self) -> Tensor:
        return (self.upper - self.lower) / 2

    @classmethod
    def around(cls, center: Tensor, radius: Tensor) -> Interval:
        """The interval of a centre and a radius >= 0."""
        interval = cls(center - radius, center + radius)
        interval.__dict__.update(center=center, radius=radius)
        return interval

    def intersect(self, other: Interval) -> Interval:
        """What two intervals of the same values have in common."""
        return Interval(
            torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        )


def pixel_box(
    x: Tensor, epsilon: float | Tensor, clip: tuple[float, float] | None = (0.0, 1.0)
) -> Interval:
    """The box [x - epsilon, x + epsilon] of images (B, C, H, W), within ``clip``.

        box = pixel_box(x, 2 / 255)

    epsilon: in [0, 1] pixel units, a number or a tensor that broadcasts to x.
    clip: the ends of pixel values; None for a box that may leave them.
    """
    lower, upper = x - epsilon, x + epsilon
    if clip is not None:
        lower, upper = lower.clamp(min=clip[0]), upper.clamp(max=clip[1])
    return Interval(lower, upper)


def interval_bounds(graph: Graph, box: Interval) -> list[Interval]:
    """The interval of every node of a graph without modes, in its order.

        bounds = interval_bounds(trace_network(net).fixed(), pixel_box(x, 2 / 255))
        bounds[-1].lower                                    # of the logits

    graph: from ``fixed`` or ``clean_pass``.
    """
    found: list[Interval] = []
    for node in graph.nodes:
        found.append(_image(node.op, [found[position] for position in node.inputs], box))
    return found


def _image(op: Op, inputs: Sequence[Interval], box: Interval) -> Interval:
    if isinstance(op, Input):
        return box
    if isinstance(op, Sum):
        first, second = inputs
        return Interval(first.lower + second.lower, first.upper + second.upper)
    (z,) = inputs
    if isinstance(op, Affine):
        return Interval.around(op.apply(z.center), op.spread(z.radius))
    if isinstance(op, Relu):
        return Interval(z.lower.relu(), z.upper.relu())
    assert isinstance(op, MaxPool)
    return Interval(op.pool(z.lower), op.pool(z.upper))
