"""Linear bounds: rows at a node, carried back to the images through lines that enclose each ReLU.

Zhang et al. 2018 (arXiv:1811.00866, CROWN); Weng et al. 2018 (arXiv:1804.09699, Fast-Lin), which is
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
from rsmooth.bounds.rounding import TINY, UNIT, beyond, gamma

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


def relax(z: Interval, slopes: Slopes, *, rounding: bool = False) -> Relaxation:
    """The two lines around a ReLU whose input is within an interval.

    slopes: "adaptive", CROWN's: the lower line is z or 0, whichever leaves the smaller area;
        "parallel", Fast-Lin's: the lower line has the slope of the upper one.
    rounding: whether to round the intercept up, so that the lines hold in exact arithmetic.
    """
    # NaN, from overflow, is unstable: it makes NaN of the slope, and so of the bound.
    unstable = ~((z.lower >= 0) | (z.upper <= 0))
    # Where it is stable, the width may be 0; a gradient of 0/0 would be NaN even if not taken.
    width = torch.where(unstable, z.upper - z.lower, 1.0)
    active = (z.lower >= 0).to(z.lower.dtype)
    slope = torch.where(unstable, z.upper / width, active)
    intercept = -z.lower * slope
    if rounding:  # above max(z, 0) at both ends, whatever the slope became
        intercept = torch.maximum(intercept, (1 - slope) * z.upper) * (1 + 16 * UNIT) + TINY
    intercept = torch.where(unstable, intercept, 0.0)
    if slopes == "parallel":
        return Relaxation(slope, slope, intercept)
    steep = (z.upper > -z.lower).to(z.lower.dtype)
    return Relaxation(torch.where(unstable, steep, active), slope, intercept)


def at_images(op: Op) -> bool:
    """Whether a backward pass has arrived."""
    return isinstance(op, Input)


@dataclass(frozen=True, eq=False)
class Backward:
    """Bounds of rows . z, where z is a node of a network, by a backward pass.

        Backward(graph, intervals, relaxations).lower(start, rows)          # (B, R)

    graph: without modes. intervals: of every node. relaxations: of every ReLU that is passed.
    rounding: how often to subtract the rounding error of the pass, which then is in float64, and
        whose intervals and relaxations have theirs.
    stop: at which nodes the bound is taken from their intervals.
    """

    graph: Graph
    intervals: Sequence[Interval]
    relaxations: Mapping[int, Relaxation]
    rounding: float = 0.0
    stop: Callable[[Op], bool] = at_images

    def lower(self, start: int, rows: Tensor) -> Tensor:
        """Lower bounds (B, R) of rows (B, R, *shape of the node) . z, z the node at ``start``."""
        return self._run(start, rows).lower

    def both(self, start: int, rows: Tensor) -> Interval:
        """Lower and upper bounds, each (B, R)."""
        if all(lines.parallel for lines in self.relaxations.values()):
            return self._run(start, rows, two_sided=True)
        lower, upper = self.lower(start, torch.cat([rows, -rows], dim=1)).chunk(2, dim=1)
        return Interval(lower, -upper)

    def _run(self, start: int, rows: Tensor, *, two_sided: bool = False) -> Interval:
        state = _State(start, rows, self.intervals, self.rounding, two_sided)
        for position in range(start, -1, -1):
            rows_here = state.rows.pop(position, None)
            if rows_here is not None:
                self._step(state, position, rows_here)
        return state.result()

    def _step(self, state: _State, position: int, rows: Tensor) -> None:
        node = self.graph.nodes[position]
        if self.stop(node.op):
            state.conclude(rows, self.intervals[position])
        elif isinstance(node.op, Sum):
            for source in node.inputs:
                state.hand(source, state.shared(rows, source))
        elif isinstance(node.op, Relu):
            state.hand(node.inputs[0], state.through(self.relaxations[position], rows))
        else:
            assert isinstance(node.op, Affine)
            (source,) = node.inputs
            state.hand(source, state.before(node.op, rows, position, source))


class _State:
    """A backward pass under way: rows at nodes, and what is known of the bounds beside them.

    two_sided: whether to compute the upper bound too; for parallel lines only.
    """

    def __init__(
        self,
        start: int,
        rows: Tensor,
        intervals: Sequence[Interval],
        rounding: float,
        two_sided: bool,
    ) -> None:
        self.rows = {start: rows}
        self.intervals = intervals
        self.rounding = rounding
        self.two_sided = two_sided
        self.lower = self.upper = self.error = rows.new_zeros(rows.shape[:2])

    def hand(self, source: int, rows: Tensor) -> None:
        """Rows arrive at a node, perhaps where others are already."""
        present = self.rows.get(source)
        self.rows[source] = rows = rows if present is None else present + rows
        if self.rounding:
            reach = self.intervals[source].reach
            self.error = self.error + 4 * UNIT * _dot(rows.abs(), reach) + beyond(reach)

    def shared(self, rows: Tensor, source: int) -> Tensor:
        """Rows before a sum; of an addend that the sum repeats along an axis, added up."""
        shape = self.intervals[source].shape[1:]
        if rows.shape[2:] == shape:
            return rows
        own = (*rows.shape[:2], *shape)
        if self.rounding:
            terms = gamma(rows.shape[2:].numel() // shape.numel())
            sizes = rows.abs().sum_to_size(own)
            self.error = self.error + terms * _dot(sizes, self.intervals[source].reach)
        return rows.sum_to_size(own)

    def through(self, lines: Relaxation, rows: Tensor) -> Tensor:
        """Rows before a ReLU: a negative coefficient takes the upper line, others the lower."""
        negative = rows.clamp(max=0)
        below = _dot(negative, lines.intercept)
        self._add(below, _dot(rows, lines.intercept) - below if self.two_sided else below)
        if self.rounding:
            terms = gamma(rows.shape[2:].numel())
            self.error = self.error + terms * _dot(rows.abs(), lines.intercept)
        if lines.parallel:
            return rows * lines.lower_slope.unsqueeze(1)
        # One product per coefficient, so that its rounding is relative to what it becomes.
        upper, lower = lines.upper_slope.unsqueeze(1), lines.lower_slope.unsqueeze(1)
        return rows * torch.where(rows < 0, upper, lower)

    def before(self, op: Affine, rows: Tensor, position: int, source: int) -> Tensor:
        """Rows before an affine layer."""
        batch, shape = rows.shape[:2], self.intervals[source].shape[1:]
        flat = rows.flatten(0, 1)
        offset = op.offset(flat)
        if isinstance(offset, Tensor):
            self._add(offset.view(batch), offset.view(batch))
        if self.rounding:
            size = self.intervals[position].size
            assert size is not None, "expected intervals with rounding"
            terms = gamma(rows.shape[2:].numel())
            self.error = self.error + terms * _dot(rows.abs(), size)
        return op.pull(flat, shape).view(*batch, *shape)

    def conclude(self, rows: Tensor, z: Interval) -> None:
        """Rows end here: the bound is that over the interval."""
        middle, spread = _dot(rows, z.center), _dot(rows.abs(), z.radius)
        self._add(middle - spread, middle + spread)
        if self.rounding:
            self.error = self.error + gamma(rows.shape[2:].numel()) * _dot(rows.abs(), z.reach)

    def result(self) -> Interval:
        if not self.rounding:
            return Interval(self.lower, self.upper)
        error = self.error + TINY
        return Interval(
            self.lower - self.rounding * (error + 4 * UNIT * self.lower.abs()),
            self.upper + self.rounding * (error + 4 * UNIT * self.upper.abs()),
        )

    def _add(self, lower: Tensor, upper: Tensor) -> None:
        self.lower, self.upper = self.lower + lower, self.upper + upper
        if self.rounding:
            self.error = self.error + 4 * UNIT * torch.maximum(self.lower.abs(), self.upper.abs())


def _dot(rows: Tensor, values: Tensor) -> Tensor:
    """Of rows (B, R, ...) . values (B, ...): (B, R)."""
    return torch.bmm(rows.flatten(2), values.flatten(1).unsqueeze(2)).squeeze(2)
