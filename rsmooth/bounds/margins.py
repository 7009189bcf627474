"""Margins: lower bounds of z_y - z_k over a box, by the method of one's choice."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rsmooth.bounds.graph import Graph
from rsmooth.bounds.interval import Interval, interval_bounds, pixel_box
from rsmooth.bounds.layers import Convolution, Diagonal, Linear, MaxPool, Op, Relu, Sum
from rsmooth.bounds.linear import Relaxation, Slopes, lower_bounds, relax, two_sided_bounds
from rsmooth.bounds.tracing import trace_network
from rsmooth.plumbing.tensors import check_images, check_labels

Method = Literal["ibp", "crown-ibp", "crown", "fast-lin"]
METHODS: tuple[Method, ...] = get_args(Method)

# Rows of a backward pass are taken in chunks whose coefficients stay below this many bytes.
MEMORY = 2**28


def margin_bounds(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float | Tensor,
    method: Method = "crown-ibp",
    clip: tuple[float, float] | None = (0.0, 1.0),
    intersect: bool = False,
    memory: int = MEMORY,
) -> Tensor:
    """Lower bounds (B, K) of z_y - z_k for all images within epsilon in l_inf; 0 at k = y.

        margins = margin_bounds(net, x, y, epsilon=2 / 255, method="crown-ibp")

    net: (B, C, H, W) -> logits (B, K), as ``trace_network`` takes it. In train mode batch norm has
        the statistics of ``x``; its running statistics do not move.
    x: images in [0, 1]. y: labels (B,).
    epsilon: >= 0, in pixel units, before the network's own normalisation.
    method: "ibp", intervals; "crown-ibp", one backward pass whose pre-activations are bounded by
        intervals; "crown" and "fast-lin", bounded by backward passes too, layer by layer.
    clip: the ends of pixel values, with which the box is cut; None to leave it whole.
    intersect: cut the pre-activation bounds of crown and fast-lin with those of intervals.
    memory: bytes for the coefficients of crown and fast-lin.

    Differentiable. All margins > 0 (k = y aside) say that no image of the box gets another answer,
    up to the rounding of this computation; ``rsmooth certify`` accounts for that. The last linear
    layer is merged into the rows e_y - e_k. ValueError for an unknown layer, which it names, max
    pooling with another method than ibp, images off [0, 1] and epsilon < 0.

    Gowal et al. 2018 (arXiv:1810.12715); Zhang et al. 2020 (arXiv:1906.06316, CROWN-IBP), eq. 8;
    Zhang et al. 2018 (arXiv:1811.00866, CROWN), theorem 3.2; Wong & Kolter 2018 (arXiv:1711.00851),
    theorem 1, whose dual bound is fast-lin's.
    """
    check_images(x)
    _check_epsilon(epsilon)
    done = BoundedPass(
        trace_network(net), pixel_box(x, epsilon, clip), x=x, update=False, memory=memory
    )
    check_labels(y, len(x), done.logits.shape[1])
    return done.margins(y, method, intersect=intersect)


@dataclass(eq=False)
class BoundedPass:
    """One clean pass of a network, and bounds of the same network over a box around it.

        done = BoundedPass(graph, pixel_box(x, epsilon), x=x)
        done.logits                         # (B, K); batch norm moved as by net(x)
        done.margins(y, "ibp")              # (B, K)
        done.margins(y, "crown-ibp")        # takes the same intervals

    graph: from ``trace_network``, which need not be called anew.
    box: of the images, such as ``pixel_box(x, epsilon)``.
    x: the images (B, C, H, W) of the clean pass.
    update: whether batch norm in train mode moves its running statistics.
    memory: bytes for the coefficients of crown and fast-lin.

    In train mode the bounds have the batch statistics of the clean pass. Nothing here is checked or
    waits for a GPU; ``margin_bounds`` is the same with checks.
    """

    graph: Graph
    box: Interval
    x: Tensor
    update: bool = True
    memory: int = MEMORY
    logits: Tensor = field(init=False)
    intervals: list[Interval] = field(init=False)

    def __post_init__(self) -> None:
        self.logits, self.graph = self.graph.clean_pass(self.x, update=self.update)
        self.intervals = interval_bounds(self.graph, self.box)

    @property
    def pre_activations(self) -> dict[str, Interval]:
        """The interval bounds of the input of every ReLU, by the ReLU's name."""
        return {
            f"{position}:{node.name}": self.intervals[node.inputs[0]]
            for position, node in enumerate(self.graph.nodes)
            if isinstance(node.op, Relu)
        }

    def margins(self, y: Tensor, method: Method, *, intersect: bool = False) -> Tensor:
        """Lower bounds (B, K) of z_y - z_k, as ``margin_bounds`` describes them."""
        rows = difference_rows(y, self.logits.shape[1], self.logits.dtype)
        last = len(self.graph) - 1
        if method == "ibp":
            return lower_bounds(self.graph, last, rows, self.intervals, {}, stop=_not_merged)
        return lower_bounds(
            self.graph, last, rows, self.intervals, self.relaxations(method, intersect=intersect)
        )

    def relaxations(self, method: Method, *, intersect: bool = False) -> dict[int, Relaxation]:
        """The lines around every ReLU, by its position, for a method other than ibp."""
        _check_linear(self.graph, method)
        slopes: Slopes = "parallel" if method == "fast-lin" else "adaptive"
        found: dict[int, Relaxation] = {}
        for position, node in enumerate(self.graph.nodes):
            if isinstance(node.op, Relu):
                source = node.inputs[0]
                z = self.intervals[source]
                if method != "crown-ibp" and not _exact(self.graph, source):
                    z = self._backward_bounds(source, found, intersect)
                found[position] = relax(z, slopes)
        return found

    def _backward_bounds(
        self, position: int, relaxations: dict[int, Relaxation], intersect: bool
    ) -> Interval:
        """The interval of a node by backward passes with identity rows, chunk by chunk."""
        own = self.intervals[position]
        shape, batch = own.lower.shape[1:], len(own.lower)
        count = math.prod(shape)
        eye = torch.eye(count, dtype=own.lower.dtype, device=own.lower.device)
        ends = [
            two_sided_bounds(
                self.graph,
                position,
                part.view(1, -1, *shape).expand(batch, *[-1] * (1 + len(shape))),
                self.intervals,
                relaxations,
            )
            for part in torch.split(eye, self._rows_at_once(position))
        ]
        found = Interval(
            torch.cat([z.lower for z in ends], dim=1).view_as(own.lower),
            torch.cat([z.upper for z in ends], dim=1).view_as(own.upper),
        )
        return found.intersect(own) if intersect else found

    def _rows_at_once(self, position: int) -> int:
        largest = max(self.intervals[at].lower.numel() for at in range(position + 1))
        # The rows of one step, what it makes of them, and their negative part, for both sides.
        return max(1, self.memory // (6 * largest * self.x.element_size()))


def difference_rows(y: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """The rows e_y - e_k of every class k: (B,) -> (B, K, K)."""
    eye = torch.eye(num_classes, dtype=dtype, device=y.device)
    return eye[y].unsqueeze(1) - eye


def worst_case_logits(margins: Tensor) -> Tensor:
    """Logits (B, K) whose cross-entropy is the worst case: 0 at y, -margin elsewhere.

    functional.cross_entropy(worst_case_logits(margins), y)
    """
    return -margins


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
        mixing += not isinstance(node.op, Diagonal)
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


def _check_epsilon(epsilon: float | Tensor) -> None:
    low = float(torch.as_tensor(epsilon).min())
    high = float(torch.as_tensor(epsilon).max())
    if not (0 <= low <= high < math.inf):
        raise ValueError(f"expected a finite epsilon >= 0 in [0,1] pixel units, got {epsilon!r}")
