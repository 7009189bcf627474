"""Wong and Kolter's dual bound with l1 norms estimated by random projections: only for training.

What comes out is an estimate and no bound: it may promise too much. Nothing that certifies uses it.
Wong et al. 2018 (arXiv:1805.12514), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.bounds.interval import Interval
from rsmooth.bounds.layers import Affine, Diagonal, Flatten, MaxPool, Relu, Sum
from rsmooth.bounds.linear import Backward, Relaxation, relax
from rsmooth.bounds.passes import Bounds
from rsmooth.bounds.rounding import no_autocast


def estimated_margins(
    done: Bounds, y: Tensor, *, projections: int, generator: torch.Generator | None = None
) -> Tensor:
    """About the margins (B, K) of fast-lin, by far fewer rows: an estimate, not a bound.

        margins = estimated_margins(done, batch.y, projections=50)

    projections: Cauchy vectors for each l1 norm, whose median size estimates it; 50 as published.
    generator: of the vectors, on the device of the images; None is torch's own.

    The pre-activations are estimated; from them the last backward pass, of K rows, is the exact
    one. The relative error of a norm falls as 1.6 / sqrt(projections). ValueError for max pooling.
    """
    classes, dtype = done.intervals[-1].shape[1], done.box.lower.dtype
    eye = torch.eye(classes, dtype=dtype, device=y.device)
    with no_autocast():
        lines = _Forward(done, projections, generator).relaxations()
        backward = Backward(done.graph, done.intervals, lines)
        return backward.lower(len(done.graph) - 1, eye[y].unsqueeze(1) - eye)


# After a ReLU or a sum intervals are not exact.
_MANY = 2


@dataclass(frozen=True, eq=False)
class _Value:
    """What is known at a node: its middle, and random sums of what may move it, by origin.

    middle: (B, ...). sums: of the images and of each ReLU before, (B, k, ...). The l1 norm of the
    weights of an origin is about the median size of its sums over k.
    mixing: layers that mix pixels, before any ReLU and sum; up to one, intervals are exact.
    """

    middle: Tensor
    sums: dict[int, Tensor]
    mixing: int

    def interval(self) -> Interval:
        spread = torch.stack([part.abs().median(dim=1).values for part in self.sums.values()])
        return Interval.around(self.middle, spread.sum(dim=0))


class _Forward:
    """One pass from the images to the last ReLU, along the parallel lines around each ReLU.

    Between such lines max(z, 0) is slope z + intercept / 2, give or take intercept / 2.
    """

    def __init__(self, done: Bounds, projections: int, generator: torch.Generator | None) -> None:
        self.done, self.projections, self.generator = done, projections, generator

    def relaxations(self) -> dict[int, Relaxation]:
        found: dict[int, Relaxation] = {}
        values: list[_Value] = []
        nodes = self.done.graph.nodes
        last = max((at for at, node in enumerate(nodes) if isinstance(node.op, Relu)), default=-1)
        for position, node in enumerate(nodes[: last + 1]):
            inputs = [values[source] for source in node.inputs]
            if isinstance(node.op, Relu):
                found[position] = relax(self._interval(node.inputs[0], inputs[0]), "parallel")
                values.append(self._through(position, inputs[0], found[position]))
            elif isinstance(node.op, Sum):
                values.append(_added(*inputs))
            elif isinstance(node.op, MaxPool):
                raise ValueError(
                    f"expected a network without max pooling, got {node.name}; use mean pooling"
                )
            elif isinstance(node.op, Affine):
                values.append(_mapped(node.op, inputs[0]))
            else:
                box = self.done.box
                values.append(_Value(box.center, {position: self._scattered(box.radius)}, 0))
        return found

    def _interval(self, position: int, value: _Value) -> Interval:
        """The bounds of a ReLU's input: exact where intervals are, elsewhere estimated."""
        return self.done.intervals[position] if value.mixing <= 1 else value.interval()

    def _through(self, position: int, value: _Value, lines: Relaxation) -> _Value:
        slope, half = lines.lower_slope, lines.intercept / 2
        sums = {origin: part * slope.unsqueeze(1) for origin, part in value.sums.items()}
        sums[position] = self._scattered(half)
        return _Value(value.middle * slope + half, sums, _MANY)

    def _scattered(self, sizes: Tensor) -> Tensor:
        """Sizes (B, ...) >= 0 times k Cauchy vectors, which all images share: (B, k, ...)."""
        shape = (self.projections, *sizes.shape[1:])
        noise = torch.empty(shape, dtype=sizes.dtype, device=sizes.device)
        return sizes.unsqueeze(1) * noise.cauchy_(generator=self.generator)


def _mapped(op: Affine, value: _Value) -> _Value:
    """Through z = W x + b; sums have no b."""
    sums = {}
    for origin, part in value.sums.items():
        flat = part.flatten(0, 1)
        moved = op.apply(flat) - op.apply(torch.zeros_like(flat[:1]))
        sums[origin] = moved.view(*part.shape[:2], *moved.shape[1:])
    mixing = value.mixing + (not isinstance(op, (Diagonal, Flatten)))
    return _Value(op.apply(value.middle), sums, mixing)


def _added(one: _Value, other: _Value) -> _Value:
    sums = dict(one.sums)
    for origin, part in other.sums.items():
        sums[origin] = sums[origin] + part if origin in sums else part
    return _Value(one.middle + other.middle, sums, _MANY)
