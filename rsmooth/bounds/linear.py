"""Linear bounds: rows at a node, carried back to the images through lines that enclose each ReLU.

Zhang et al. 2018 (arXiv:1811.00866, CROWN), Weng et al. 2018 (arXiv:1804.09699, Fast-Lin), which is
the dual bound of Wong & Kolter 2018 (arXiv:1711.00851).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rsmooth.bounds.graph import Graph
from rsmooth.bounds.interval import Interval
from rsmooth.bounds.layers import Affine, Input, Op, Relu, Sum

Slopes = Literal["adaptive", "parallel"]


@dataclass(frozen=True, eq=False)
class Relaxation:
    """lower_slope z <= max(z, 0) <= upper_slope z + intercept within an interval of z.

    Each is (B, ...). With parallel lines both slopes are one tensor.
    """

    lower_slope: Tensor
    upper_slope: Tensor
    intercept: Tensor

    @property
    def parallel(self) -> bool:
        return self.lower_slope is self.upper_slope


def relax(z: Interval, slopes: Slopes) -> Relaxation:
    """The two lines around a ReLU whose input is within an interval.

    slopes: "adaptive", CROWN's: the lower line is z or 0, whichever leaves the smaller area;
        "parallel", Fast-Lin's: the lower line has the slope of the upper one.
    """
    unstable = (z.lower < 0) & (z.upper > 0)
    # Where it is stable, the width may be 0; a gradient of 0/0 would be NaN even if not taken.
    width = torch.where(unstable, z.upper - z.lower, 1.0)
    active = (z.lower >= 0).to(z.lower.dtype)
    slope = torch.where(unstable, z.upper / width, active)
    intercept = torch.where(unstable, -z.lower * slope, 0.0)
    if slopes == "parallel":
        return Relaxation(slope, slope, intercept)
    steep = (z.upper > -z.lower).to(z.lower.dtype)
    return Relaxation(torch.where(unstable, steep, active), slope, intercept)


def lower_bounds(
    graph: Graph,
    start: int,
    rows: Tensor,
    intervals: Sequence[Interval],
    relaxations: Mapping[int, Relaxation],
    *,
    stop: Callable[[Op], bool] = lambda op: isinstance(op, Input),
) -> Tensor:
    """Lower bounds (B, R) of rows . z, where z is the node at ``start``: one backward pass.

    rows: (B, R, *shape of the node).
    intervals: of every node.
    relaxations: of every ReLU between.
    stop: at which nodes the bound is taken from their intervals; by default at the images.
    """
    return _Backward(graph, intervals, relaxations, stop).run(start, rows)[0]


def two_sided_bounds(
    graph: Graph,
    start: int,
    rows: Tensor,
    intervals: Sequence[Interval],
    relaxations: Mapping[int, Relaxation],
) -> Interval:
    """The interval, each end (B, R), of rows . z, where z is the node at ``start``.

    Arguments are those of ``lower_bounds``.
    """
    backward = _Backward(graph, intervals, relaxations, lambda op: isinstance(op, Input))
    if all(relaxation.parallel for relaxation in relaxations.values()):
        return Interval(*backward.run(start, rows))
    both = backward.run(start, torch.cat([rows, -rows], dim=1))[0]
    lower, upper = both.chunk(2, dim=1)
    return Interval(lower, -upper)


@dataclass
class _Backward:
    """A backward pass: lower bounds, and upper ones, which are right for parallel lines only."""

    graph: Graph
    intervals: Sequence[Interval]
    relaxations: Mapping[int, Relaxation]
    stop: Callable[[Op], bool]

    def run(self, start: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        self.pending = {start: rows}
        self.lower = self.upper = rows.new_zeros(rows.shape[:2])
        for position in range(start, -1, -1):
            if position in self.pending:
                self._step(position, self.pending.pop(position))
        return self.lower, self.upper

    def _step(self, position: int, rows: Tensor) -> None:
        node = self.graph.nodes[position]
        if self.stop(node.op):
            self._conclude(rows, self.intervals[position])
        elif isinstance(node.op, Sum):
            for source in node.inputs:
                self._hand(source, rows)
        elif isinstance(node.op, Relu):
            self._hand(node.inputs[0], self._through(self.relaxations[position], rows))
        else:
            assert isinstance(node.op, Affine)
            (source,) = node.inputs
            batch, shape = rows.shape[:2], self.intervals[source].lower.shape[1:]
            flat = rows.flatten(0, 1)
            offset = node.op.offset(flat)
            if isinstance(offset, Tensor):
                self.lower = self.lower + offset.view(batch)
                self.upper = self.upper + offset.view(batch)
            self._hand(source, node.op.pull(flat, shape).view(*batch, *shape))

    def _hand(self, source: int, rows: Tensor) -> None:
        present = self.pending.get(source)
        self.pending[source] = rows if present is None else present + rows

    def _through(self, lines: Relaxation, rows: Tensor) -> Tensor:
        """Rows before a ReLU: a negative coefficient takes the upper line, others the lower."""
        negative = rows.clamp(max=0)
        self.lower = self.lower + _dot(negative, lines.intercept)
        if lines.parallel:
            self.upper = self.upper + _dot(rows - negative, lines.intercept)
            return rows * lines.lower_slope.unsqueeze(1)
        lower, upper = lines.lower_slope.unsqueeze(1), lines.upper_slope.unsqueeze(1)
        return (rows - negative) * lower + negative * upper

    def _conclude(self, rows: Tensor, z: Interval) -> None:
        middle, spread = _dot(rows, z.center), _dot(rows.abs(), z.radius)
        self.lower = self.lower + middle - spread
        self.upper = self.upper + middle + spread


def _dot(rows: Tensor, values: Tensor) -> Tensor:
    """Of rows (B, R, ...) . values (B, ...): (B, R)."""
    return torch.bmm(rows.flatten(2), values.flatten(1).unsqueeze(2)).squeeze(2)
