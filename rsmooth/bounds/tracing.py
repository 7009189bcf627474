"""From a module to the graph of its steps, by torch.fx."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from rsmooth.bounds.graph import Graph, Node
from rsmooth.bounds.layers import Convolution, Flatten, Input, Linear, MaxPool, Op, Pool, Relu, Sum
from rsmooth.bounds.modes import BatchNorm, Dropout, Factor, Normalization
from rsmooth.models.normalize import Normalize
from rsmooth.models.shapes import is_batch, is_size
from rsmooth.models.tracing import trace_call


def trace_network(net: nn.Module) -> Graph:
    """The graph of a network (N, C, H, W) -> logits (N, K).

        graph = trace_network(net)

    It may have convolutions, linear layers, batch norm, ReLU, mean and max pooling, flattening,
    sums, factors, ``Normalize``, and dropout in eval mode. ValueError, naming it, for any other
    layer, for a forward that branches on its input, and for one that uses a value again after a
    step in place has overwritten it.
    """
    try:
        with torch.no_grad():  # as a certificate is computed: a forward may ask
            traced = trace_call(_Tracer(), net)
    except Exception as error:  # whatever a forward does with an fx.Proxy
        raise ValueError(
            f"expected a network whose layers torch.fx can trace, got {type(net).__name__}: "
            f"{error}; write its forward without branches that depend on the images"
        ) from error
    return _Reader(net).read(traced)


# fx takes these for what they are out of place, so that a name for the same tensor would keep it.
_ASSIGNMENTS = (operator.iadd, operator.imul, operator.itruediv)


class _Proxy(fx.Proxy):
    def __iadd__(self, other: object) -> fx.Proxy:
        return self._assigned(operator.iadd, other)

    def __imul__(self, other: object) -> fx.Proxy:
        return self._assigned(operator.imul, other)

    def __itruediv__(self, other: object) -> fx.Proxy:
        return self._assigned(operator.itruediv, other)

    def _assigned(self, operation: Callable[..., Any], other: object) -> fx.Proxy:
        made: fx.Proxy = self.tracer.create_proxy("call_function", operation, (self, other), {})
        return made


class _Tracer(fx.Tracer):
    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (Normalize, nn.Conv2d)) or super().is_leaf_module(
            m, module_qualified_name
        )


class _Reader:
    """Turns traced steps into nodes."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.nodes: list[Node] = []
        self.position: dict[fx.Node, int] = {}
        # Which memory a node's value is in, and the nodes whose values are there no more.
        self.memory: dict[int, int] = {}
        self.overwritten: set[int] = set()

    def read(self, traced: fx.Graph) -> Graph:
        for item in traced.nodes:
            if item.op == "placeholder":
                self._add_images(item)
            elif item.op == "output":
                break
            elif not is_size(item):
                self._add(item)
        result = item.args[0]
        if not isinstance(result, fx.Node) or result not in self.position:
            raise ValueError(f"expected a network that returns its logits, got {result}")
        self._check_kept(item, (self.position[result],))
        return Graph(tuple(self.nodes[: self.position[result] + 1]))

    def _add_images(self, item: fx.Node) -> None:
        self.position[item] = self.memory[0] = 0
        self.nodes.append(Node(item.name, Input(), ()))

    def _add(self, item: fx.Node) -> None:
        """Append what a step does; nothing for an identity."""
        op = _layer(self.net, item) if item.op == "call_module" else _function(item)
        sources = item.args[: 2 if isinstance(op, Sum) else 1]
        inputs = tuple(
            self.position.get(source, -1) if isinstance(source, fx.Node) else -1
            for source in sources
        )
        if op is None or not inputs or min(inputs) < 0:
            raise self._unknown(item)
        self._check_kept(item, inputs)
        if op is _IDENTITY:
            self.position[item] = inputs[0]
            return
        self.position[item] = own = len(self.nodes)
        in_place = _is_in_place(self.net, item)
        shared = in_place or isinstance(op, (Flatten, Dropout))
        self.memory[own] = self.memory[inputs[0]] if shared else own
        if in_place:
            memory = self.memory[own]
            self.overwritten |= {at for at in range(own) if self.memory[at] == memory}
        self.nodes.append(Node(str(item.target), op, inputs))

    def _check_kept(self, item: fx.Node, inputs: tuple[int, ...]) -> None:
        """ValueError for a step on a value that is not what it was: the graph has it as it was."""
        for position in inputs:
            if position in self.overwritten:
                raise ValueError(
                    f"expected values that are not used after a step in place, got that of "
                    f"{self.nodes[position].name} in {item.format_node()}; take inplace=False"
                )

    def _unknown(self, item: fx.Node) -> ValueError:
        what = f"the step {item.format_node()}"
        if item.op == "call_module":
            what = f"{self.net.get_submodule(str(item.target))} at {item.target}"
        return ValueError(
            "expected layers whose bounds are known (convolution, linear, batch norm, ReLU, "
            f"pooling, flatten, sums, Normalize), got {what}; exchange it"
        )


_IDENTITY = Op()


def _layer(net: nn.Module, item: fx.Node) -> Op | None:
    """The op of a module; None for one that is not known."""
    layer = net.get_submodule(str(item.target))
    if layer._forward_hooks or layer._forward_pre_hooks:
        raise ValueError(
            f"expected layers without hooks, got one at {item.target}; remove it: it may change "
            "what the layer computes"
        )
    for kind, make in _LAYERS.items():
        if isinstance(layer, kind) and not _computes_otherwise(layer, kind):
            return make(layer)
    return None


# What a subclass or an object replaces to compute something else; the forward of a convolution
# leaves all of it to the second one.
_FORWARDS = ("forward", "_conv_forward", "__call__")


def _computes_otherwise(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer may compute something else than its kind."""
    return any(
        name in vars(layer) or getattr(type(layer), name, None) is not getattr(kind, name, None)
        for name in _FORWARDS
    )


def _is_in_place(net: nn.Module, item: fx.Node) -> bool:
    """Whether a step writes what it computes over its first input."""
    if item.op == "call_module":
        return bool(getattr(net.get_submodule(str(item.target)), "inplace", False))
    flag = item.kwargs.get("inplace", item.args[1:] if item.target is functional.relu else False)
    written = item.target in (*_ASSIGNMENTS, "add_", "relu_")
    return written or flag not in (False, (), (False,))


def _convolution(layer: nn.Conv2d) -> Op | None:
    if layer.padding_mode != "zeros":
        return None
    return Convolution(layer, _padding(layer))


def _mean_pool(layer: nn.AvgPool2d) -> Op | None:
    return Pool(layer.forward) if _is_mean(layer.divisor_override) else None


def _is_mean(divisor: object) -> bool:
    """Whether the weights of a mean are surely positive, so that |W| is W."""
    return divisor is None or (type(divisor) is int and divisor > 0)


def _max_pool(layer: nn.MaxPool2d | nn.AdaptiveMaxPool2d) -> Op | None:
    return None if layer.return_indices else MaxPool(layer.forward)


def _flatten(layer: nn.Flatten) -> Op | None:
    return Flatten() if (layer.start_dim, layer.end_dim) == (1, -1) else None


_LAYERS: dict[type[nn.Module], Callable[[Any], Op | None]] = {
    nn.Conv2d: _convolution,
    nn.Linear: Linear,
    nn.BatchNorm2d: BatchNorm,
    nn.BatchNorm1d: BatchNorm,
    nn.ReLU: lambda layer: Relu(),
    nn.AvgPool2d: _mean_pool,
    nn.AdaptiveAvgPool2d: lambda layer: Pool(layer.forward),
    nn.MaxPool2d: _max_pool,
    nn.AdaptiveMaxPool2d: _max_pool,
    nn.Flatten: _flatten,
    nn.Dropout: Dropout,
    nn.Dropout2d: Dropout,
    nn.Identity: lambda layer: _IDENTITY,
    Normalize: Normalization,
}


def _function(item: fx.Node) -> Op | None:
    """The op of a function or a method; None for one that is not known."""
    target, rest, named = item.target, item.args[1:], dict(item.kwargs)
    if target in (operator.add, operator.iadd, torch.add, "add", "add_") and not named:
        return Sum()
    if target in (torch.relu, functional.relu, "relu", "relu_"):
        return Relu()
    if target in (torch.flatten, "flatten"):
        return Flatten() if (*rest, *named.values()) in ((1,), (1, -1)) else None
    if target == "contiguous":
        return _IDENTITY
    if target in ("view", "reshape") and not named:
        return Flatten() if len(rest) == 2 and is_batch(rest[0]) and rest[1] == -1 else None
    if target in (functional.avg_pool2d, functional.adaptive_avg_pool2d):
        divisor = named.get("divisor_override", rest[5] if len(rest) > 5 else None)
        return Pool(partial(_pool, target, rest, named)) if _is_mean(divisor) else None
    if target is functional.max_pool2d and not named.get("return_indices"):
        return MaxPool(partial(_pool, target, rest, named))
    if target in (operator.mul, operator.imul) and len(rest) == 1:
        return _factor(rest[0], divide=False)
    if target in (operator.truediv, operator.itruediv) and len(rest) == 1:
        return _factor(rest[0], divide=True)
    return None


def _pool(function: Any, rest: tuple[Any, ...], named: dict[str, Any], x: Tensor) -> Tensor:
    pooled: Tensor = function(x, *rest, **named)
    return pooled


def _factor(number: object, *, divide: bool) -> Op | None:
    if not isinstance(number, (int, float)) or (divide and number == 0):
        return None
    return Factor(float(number), divide)


def _padding(layer: nn.Conv2d) -> tuple[int, int]:
    """Zeros on each side, of rows and of columns; ValueError where two sides differ."""
    if layer.padding == "valid":
        return (0, 0)
    if not isinstance(layer.padding, str):
        return layer.padding  # type: ignore[return-value]
    rows, columns = (d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
    if rows % 2 or columns % 2:
        raise ValueError(
            f"expected a convolution with equal padding on both sides, got {layer}; give the "
            "padding as a number"
        )
    return (rows // 2, columns // 2)
