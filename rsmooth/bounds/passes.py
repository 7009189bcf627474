"""All bounds of one network over one box of images, each computed when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from rsmooth.bounds.graph import Graph
from rsmooth.bounds.interval import Interval, interval_bounds
from rsmooth.bounds.layers import Convolution, Diagonal, Flatten, Linear, MaxPool, Op, Relu, Sum
from rsmooth.bounds.linear import Backward, Relaxation, relax
from rsmooth.bounds.methods import METHODS, Method
from rsmooth.bounds.rounding import no_autocast
from rsmooth.plumbing.numbers import check_sizes

# Bytes for the coefficients of a backward pass: its rows are taken in chunks that need no more.
MEMORY = 2**28


class Bounds:
    """Bounds of a network over a box.

        bounds = Bounds(trace_network(net).fixed(), pixel_box(x, 2 / 255))
        bounds.margins(y, "ibp"), bounds.margins(y, "crown-ibp")    # which takes the same intervals

    graph: without modes: from ``fixed`` or ``clean_pass``.
    box: of B images, such as ``pixel_box(x, epsilon)``.
    memory: bytes for the coefficients of crown and fast-lin.
    rounding: how often to take the rounding error of the bounds off them. Graph and box then are
        in float64, the box rounded as well.

    Nothing here is checked or waits for a GPU; ``margin_bounds`` does the same with checks.
    """

    def __init__(
        self, graph: Graph, box: Interval, *, memory: int = MEMORY, rounding: float = 0.0
    ) -> None:
        self.graph = graph
        self.box = box
        check_sizes(memory=memory)
        self.memory = memory
        self.rounding = rounding

    @cached_property
    def intervals(self) -> list[Interval]:
        """The interval of every node, in the order of ``graph.nodes``."""
        with no_autocast():
            return interval_bounds(self.graph, self.box, rounding=self.rounding)

    @property
    def pre_activations(self) -> dict[int, Interval]:
        """The intervals of what goes into each ReLU, by the ReLU's position."""
        return {
            position: self.intervals[node.inputs[0]]
            for position, node in enumerate(self.graph.nodes)
            if isinstance(node.op, Relu)
        }

    def margins(self, y: Tensor, method: Method, *, intersect: bool = False) -> Tensor:
        """Lower bounds (B, K) of z_y - z_k, as ``margin_bounds`` describes them."""
        logits = self.intervals[-1]
        eye = torch.eye(logits.shape[1], dtype=self.box.lower.dtype, device=y.device)
        return self.lower(eye[y].unsqueeze(1) - eye, method, intersect=intersect)

    def lower(self, rows: Tensor, method: Method, *, intersect: bool = False) -> Tensor:
        """Lower bounds (B, R) of rows (B, R, K) . logits."""
        with no_autocast():
            if method == "ibp":
                merged = Backward(self.graph, self.intervals, {}, self.rounding, _not_merged)
                return merged.lower(len(self.graph) - 1, rows)
            lines = self.relaxations(method, intersect=intersect)
            backward = Backward(self.graph, self.intervals, lines, self.rounding)
            return backward.lower(len(self.graph) - 1, rows)

    def relaxations(self, method: Method, *, intersect: bool = False) -> dict[int, Relaxation]:
        """The lines around every ReLU, by its position, for a method other than ibp."""
        _check_linear(self.graph, method)
        found: dict[int, Relaxation] = {}
        for position, z in self.pre_activations.items():
            source = self.graph.nodes[position].inputs[0]
            if method != "crown-ibp" and not _exact(self.graph, source):
                z = self._by_rows(
                    source,
                    Backward(self.graph, self.intervals, found, self.rounding),
                    intersect=intersect,
                )
            slopes: Literal["adaptive", "parallel"] = (
                "parallel" if method == "fast-lin" else "adaptive"
            )
            found[position] = relax(z, slopes, rounding=self.rounding > 0)
        return found

    def _by_rows(self, position: int, backward: Backward, *, intersect: bool) -> Interval:
        """The interval of a node by backward passes with unit rows, chunk by chunk."""
        own = self.intervals[position]
        if intersect:
            return self._by_unstable_rows(position, backward, own)
        batch, shape = own.shape[0], own.shape[1:]
        eye = torch.eye(shape.numel(), dtype=own.lower.dtype, device=own.lower.device)
        found = [
            backward.both(position, rows.view(1, -1, *shape).expand(batch, -1, *shape))
            for rows in torch.split(eye, self._rows_at_once(position))
        ]
        return Interval(
            torch.cat([z.lower for z in found], dim=1).view(own.shape),
            torch.cat([z.upper for z in found], dim=1).view(own.shape),
        )

    def _by_unstable_rows(self, position: int, backward: Backward, own: Interval) -> Interval:
        """As ``_by_rows``, within intervals, with rows for the neurons that these leave unstable.

        Each image has its own; those with fewer take some stable ones along.
        """
        lower, upper = own.lower.flatten(1), own.upper.flatten(1)
        unstable = (lower < 0) & (upper > 0)
        most = int(unstable.sum(dim=1).max())
        if most == 0:
            return own
        chosen = unstable.to(torch.int8).argsort(dim=1, descending=True)[:, :most]  # (B, R)
        for at in torch.split(chosen, self._rows_at_once(position), dim=1):
            rows = torch.zeros((*at.shape, lower.shape[1]), dtype=lower.dtype, device=lower.device)
            rows.scatter_(2, at.unsqueeze(2), 1.0)
            found = backward.both(position, rows.view(*at.shape, *own.shape[1:]))
            lower = lower.scatter(1, at, torch.maximum(lower.gather(1, at), found.lower))
            upper = upper.scatter(1, at, torch.minimum(upper.gather(1, at), found.upper))
        return Interval(lower.view(own.shape), upper.view(own.shape))

    def _rows_at_once(self, position: int) -> int:
        largest = max(z.shape.numel() for z in self.intervals[: position + 1])
        # The rows of a step, what it makes of them, parts of either sign, for two sides.
        return max(1, self.memory // (6 * largest * self.box.lower.element_size()))


class BoundedPass(Bounds):
    """One clean pass of a network, and bounds of the network as that pass had it.

        done = BoundedPass(graph, pixel_box(x, epsilon), x=x)
        done.logits                         # (B, K); batch norm moved as by net(x)
        done.margins(y, "ibp")

    graph: from ``trace_network``, which need not be called anew.
    box, memory: as of ``Bounds``.
    x: the images (B, C, H, W) of the clean pass.
    update: whether batch norm in train mode moves its running statistics.

    In train mode batch norm has the statistics of the clean pass in the bounds, with gradient.
    """

    def __init__(
        self,
        graph: Graph,
        box: Interval,
        *,
        x: Tensor,
        update: bool = True,
        memory: int = MEMORY,
    ) -> None:
        with no_autocast():
            self.logits, fixed = graph.clean_pass(x, update=update)
        super().__init__(fixed, box, memory=memory)


def worst_case_logits(margins: Tensor) -> Tensor:
    """Logits (B, K) whose cross-entropy is that of the worst case: 0 at y, -margin elsewhere.

    F.cross_entropy(worst_case_logits(margins), y)
    """
    return -margins


def count_rows(bounds: Bounds, method: Method) -> int:
    """Rows that ``margins`` carries back per image, at most: its cost in passes of the network."""
    if method != "ibp":
        _check_linear(bounds.graph, method)
    classes = bounds.intervals[-1].shape[1]
    if method in ("ibp", "crown-ibp"):
        return classes
    sides = 1 if method == "fast-lin" else 2
    sources = [bounds.graph.nodes[position].inputs[0] for position in bounds.pre_activations]
    sizes: Sequence[int] = [
        bounds.intervals[source].shape[1:].numel()
        for source in sources
        if not _exact(bounds.graph, source)
    ]
    return classes + sides * sum(sizes)


def count_multiply_adds(bounds: Bounds) -> int:
    """Multiplications of a pass of the network per image, those of its weights."""
    total = 0
    for position, node in enumerate(bounds.graph.nodes):
        if isinstance(node.op, (Linear, Convolution)):
            weight = node.op.layer.weight
            total += bounds.intervals[position].shape[1:].numel() * weight[0].numel()
    return total


def _not_merged(op: Op) -> bool:
    """Where rows end for intervals: the last linear map is merged, as far as it reaches."""
    return not isinstance(op, (Linear, Convolution, Diagonal, Sum))


def _exact(graph: Graph, position: int) -> bool:
    """Whether intervals are exact at a node: at most one layer mixes pixels on its only way."""
    mixing = 0
    node = graph.nodes[position]
    while node.inputs:
        if isinstance(node.op, (Sum, Relu, MaxPool)):
            return False
        mixing += not isinstance(node.op, (Diagonal, Flatten))
        node = graph.nodes[node.inputs[0]]
    return mixing <= 1


def _check_linear(graph: Graph, method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"expected method among {', '.join(METHODS)}, got {method!r}")
    for node in graph.nodes:
        if isinstance(node.op, MaxPool):
            raise ValueError(
                f"expected a network without max pooling for {method}, got {node.name}; use "
                'method="ibp", or mean pooling'
            )
