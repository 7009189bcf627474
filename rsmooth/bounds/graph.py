"""A network as a list of the steps whose bounds are known, in the order of their use."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from rsmooth.bounds.layers import Affine, Input, MaxPool, Op, Relu, Sum
from rsmooth.bounds.modes import BatchNorm, Moded


@dataclass(frozen=True)
class Node:
    """One step. ``name``: of the layer. ``inputs``: positions in the graph, each before its own."""

    name: str
    op: Op
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """A traced network. The first node is the images, the last the logits.

        graph = trace_network(net)

    It reads the weights of the network when it is used, and so it stays right during training. It
    must be traced anew when layers are added or exchanged.
    """

    nodes: tuple[Node, ...]

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def changes_with_the_batch(self) -> bool:
        """Whether a batch norm is in train mode, so that a pass over the batch must come first."""
        return any(isinstance(node.op, BatchNorm) and node.op.layer.training for node in self.nodes)

    def fixed(self) -> Graph:
        """The graph of the network in eval mode: batch norm by its running statistics.

        ValueError, naming it, for a layer in train mode that would compute something else.
        """
        return Graph(
            tuple(
                replace(node, op=node.op.fixed(node.name)) if isinstance(node.op, Moded) else node
                for node in self.nodes
            )
        )

    def clean_pass(self, x: Tensor, *, update: bool = True) -> tuple[Tensor, Graph]:
        """Logits (B, K) of the images, and the graph with batch norm as this pass had it.

            logits, graph = graph.clean_pass(x)

        update: whether batch norm in train mode moves its running statistics, as ``net(x)`` would.

        In train mode batch norm has the mean and the biased variance of this batch, with gradient.
        """
        values: list[Tensor] = []
        nodes: list[Node] = []
        for node in self.nodes:
            inputs = [values[position] for position in node.inputs] or [x]
            op = node.op
            if isinstance(op, Moded):
                value, op = op.clean(inputs[0], node.name, update=update)
            else:
                value = _evaluate(op, inputs)
            values.append(value)
            nodes.append(replace(node, op=op))
        return values[-1], Graph(tuple(nodes))


def _evaluate(op: Op, inputs: list[Tensor]) -> Tensor:
    if isinstance(op, Input):
        return inputs[0]
    if isinstance(op, Relu):
        return inputs[0].relu()
    if isinstance(op, Sum):
        return inputs[0] + inputs[1]
    if isinstance(op, MaxPool):
        return op.pool(inputs[0])
    assert isinstance(op, Affine)
    return op.apply(inputs[0])
