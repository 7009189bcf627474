"""From a trained network to the layers that integers can compute: read by torch.fx, and checked."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from rsmooth.models.folding import FoldedConv2d, fold_batchnorm, traced
from rsmooth.models.normalize import Normalize
from rsmooth.models.shapes import is_batch, is_size
from rsmooth.models.state import copied


@dataclass(frozen=True, eq=False)
class Node:
    """One layer of a network, in real numbers.

    kind: "image", "normalize", "convolution", "linear", "add", "relu", "maximum", "mean" or
        "flatten". inputs: numbers of the nodes that it reads, the shortcut of a convolution last.
    name: what errors call it. relu: whether ReLU comes after it. options: of the kind.
    """

    kind: str
    inputs: tuple[int, ...]
    name: str
    relu: bool = False
    weight: Tensor | None = None  # float64
    bias: Tensor | None = None  # float64
    options: dict[str, Any] = field(default_factory=dict)

    def real(self, *values: Tensor) -> Tensor:
        """What the layer computes in real numbers: float32, or float64 for such inputs."""
        answer = _REAL[self.kind](self, *values)
        return answer.relu() if self.relu else answer


def read_network(net: nn.Module, x: Tensor) -> list[Node]:
    """The nodes of a network in the order of computation: the image first, the logits last.

        nodes = read_network(base, x)

    x: a few images (N, C, H, W), whose size the windows of pooling depend on. The nodes' answer to
    them is compared with the network's.

    ValueError, naming it, for a layer that integers do not compute here, and for a forward that
    torch.fx cannot follow.
    """
    plain = copied(net).cpu().double().eval()
    folded = fold_batchnorm(plain)
    try:
        graph = traced(folded)
    except Exception as error:  # whatever a forward does with an fx.Proxy
        raise ValueError(
            f"expected a network whose layers torch.fx can trace, got {type(net).__name__}: "
            f"{error}; write its forward without branches that depend on the images"
        ) from error
    nodes = joined(_Reader(folded, x).read(graph))
    with torch.no_grad():
        found, wanted = run(nodes, x.double())[-1], plain(x.double())
    if not torch.allclose(found, wanted, rtol=1e-6, atol=1e-6, equal_nan=True):
        raise ValueError(
            f"expected layers that compute what {type(net).__name__} does, got another answer; "
            "a hook, a changed forward or a step in place may do more than torch.fx shows: write "
            "the forward plainly"
        )
    return nodes


def run(nodes: list[Node], x: Tensor) -> list[Tensor]:
    """The value of each node for images (N, C, H, W)."""
    values: list[Tensor] = []
    for node in nodes:
        values.append(x if node.kind == "image" else node.real(*(values[at] for at in node.inputs)))
    return values


def joined(nodes: list[Node]) -> list[Node]:
    """The same function with each ReLU, and each sum of a convolution, in the layer before it."""
    for fused in (_with_shortcut, _with_relu):
        at = 0
        while at < len(nodes):
            nodes, at = fused(nodes, at)
    return nodes


def _with_relu(nodes: list[Node], at: int) -> tuple[list[Node], int]:
    place = nodes[at].inputs[0] if nodes[at].kind == "relu" else 0
    before = nodes[place]
    if before.kind not in ("convolution", "linear", "add") or _uses(nodes, place) != 1:
        return nodes, at + 1
    return _merged(nodes, place, at, replace(before, relu=True)), at


def _with_shortcut(nodes: list[Node], at: int) -> tuple[list[Node], int]:
    node = nodes[at]
    for place in node.inputs if node.kind == "add" else ():
        before, other = nodes[place], sum(node.inputs) - place
        if before.kind == "convolution" and len(before.inputs) == 1 and _uses(nodes, place) == 1:
            fused = replace(before, inputs=(*before.inputs, other))
            return _merged(nodes, place, at, fused), at
    return nodes, at + 1


def _merged(nodes: list[Node], gone: int, at: int, fused: Node) -> list[Node]:
    """The nodes with ``fused`` in place of number ``at``, and without number ``gone``."""
    kept = [fused if place == at else node for place, node in enumerate(nodes) if place != gone]
    return [
        replace(node, inputs=tuple(at - 1 if i == gone else i - (i > gone) for i in node.inputs))
        for node in kept
    ]


def _uses(nodes: list[Node], place: int) -> int:
    return sum(node.inputs.count(place) for node in nodes) + (place == len(nodes) - 1)


class _Reader:
    """Turns traced steps into nodes. Values are computed too, for their shapes."""

    def __init__(self, net: nn.Module, x: Tensor) -> None:
        self.net, self.x = net, x
        self.nodes: list[Node] = []
        self.values: list[Tensor] = []
        self.position: dict[fx.Node, int] = {}

    def read(self, graph: fx.Graph) -> list[Node]:
        for item in graph.nodes:
            if item.op == "output":
                result = item.args[0]
                break
            if not is_size(item):
                self._add(item)
        if not isinstance(result, fx.Node) or self.position.get(result) != len(self.nodes) - 1:
            raise ValueError("expected a network whose last step gives its logits alone")
        return self.nodes

    def _add(self, item: fx.Node) -> None:
        count = 2 if item.op != "call_module" and item.target in _SUMS else 1
        sources = item.args[:count]
        inputs = tuple(self.position.get(each, -1) for each in sources)  # type: ignore[arg-type]
        if item.op == "placeholder":
            node: Node | None = Node("image", (), item.name) if not self.nodes else None
        elif not inputs or min(inputs) < 0:
            node = None
        elif item.op == "call_module":
            node = self._layer(item, inputs)
        else:
            node = _function(item, inputs)
        if node is None:
            raise self._unknown(item)
        if node is _SAME:
            self.position[item] = inputs[0]
            return
        self.position[item] = len(self.nodes)
        self.nodes.append(node)
        values = [self.values[at] for at in node.inputs]
        if len({each.shape for each in values}) > 1:  # a sum that broadcasts
            raise self._unknown(item)
        self.values.append(node.real(*values) if values else self.x.double())

    def _layer(self, item: fx.Node, inputs: tuple[int, ...]) -> Node | None:
        layer = self.net.get_submodule(str(item.target))
        make = _LAYERS.get(type(layer))
        # An instance may have a forward of its own.
        if make is None or layer._forward_hooks or layer._forward_pre_hooks:
            return None
        if "forward" in vars(layer):
            return None
        node = make(layer, self.values[inputs[0]].shape)
        if node is None or node is _SAME:
            return node
        return replace(node, inputs=inputs, name=str(item.target))

    def _unknown(self, item: fx.Node) -> ValueError:
        what = f"the step {item.format_node()}"
        if item.op == "call_module":
            what = f"{self.net.get_submodule(str(item.target))} at {item.target}"
        return ValueError(
            "expected layers that 8-bit integers can compute (convolution, batch norm, ReLU, sums, "
            "max pooling, mean pooling before the last linear layers, flatten, linear, Normalize), "
            f"got {what}; exchange it, or keep the network as it is"
        )


_SAME = Node("same", (), "")
_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")


def _made(kind: str, **given: Any) -> Node:
    weight, bias = given.pop("weight", None), given.pop("bias", None)
    return Node(kind, (), "", weight=weight, bias=bias, options=given)


def _convolution(layer: nn.Conv2d, shape: torch.Size) -> Node | None:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return None
    bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
    return _made(
        "convolution",
        weight=layer.weight.detach().double(),
        bias=bias.detach().double(),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )


def _batchnorm(layer: nn.BatchNorm2d, shape: torch.Size) -> Node | None:
    """Batch norm that no convolution comes before: a 1x1 convolution of each channel by itself."""
    if layer.running_mean is None or layer.running_var is None:
        return None
    scale = (layer.running_var.double() + layer.eps).rsqrt()
    scale = scale if layer.weight is None else scale * layer.weight.detach().double()
    shift = torch.zeros_like(scale) if layer.bias is None else layer.bias.detach().double()
    return _made(
        "convolution",
        weight=scale.view(-1, 1, 1, 1),
        bias=shift - layer.running_mean.double() * scale,
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=len(scale),
    )


def _linear(layer: nn.Linear, shape: torch.Size) -> Node | None:
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias
    weight = layer.weight.detach().double()
    return _made("linear", weight=weight, bias=bias.detach().double()) if len(shape) == 2 else None


def _normalize(layer: Normalize, shape: torch.Size) -> Node | None:
    mean = layer.mean.double().expand(1, shape[1], 1, 1).flatten()
    std = torch.ones_like(mean) if layer.std is None else layer.std.double().flatten()
    std = std.expand_as(mean)
    return _made("normalize", weight=1 / std, bias=-mean / std)


def _mean(layer: nn.AvgPool2d, shape: torch.Size) -> Node | None:
    plain = _pair(layer.padding) == (0, 0) and not layer.ceil_mode and not layer.divisor_override
    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
    return _made("mean", kernel_size=kernel, stride=stride) if plain else None


def _adaptive_mean(layer: nn.AdaptiveAvgPool2d, shape: torch.Size) -> Node | None:
    sizes = tuple(
        own if wanted is None else wanted
        for wanted, own in zip(_pair(layer.output_size), shape[2:], strict=True)
    )
    if any(own % wanted for wanted, own in zip(sizes, shape[2:], strict=True)):
        return None
    kernel = tuple(own // wanted for wanted, own in zip(sizes, shape[2:], strict=True))
    return _made("mean", kernel_size=kernel, stride=kernel)


def _maximum(layer: nn.MaxPool2d, shape: torch.Size) -> Node | None:
    if layer.ceil_mode or layer.return_indices or _pair(layer.dilation) != (1, 1):
        return None
    return _made(
        "maximum",
        kernel_size=_pair(layer.kernel_size),
        stride=_pair(layer.stride),
        padding=_pair(layer.padding),
    )


def _adaptive_maximum(layer: nn.AdaptiveMaxPool2d, shape: torch.Size) -> Node | None:
    if layer.return_indices or _pair(layer.output_size) != (1, 1):
        return None
    return _made("maximum", kernel_size=None, stride=(1, 1), padding=(0, 0))


def _flatten(layer: nn.Flatten, shape: torch.Size) -> Node | None:
    return _made("flatten") if (layer.start_dim, layer.end_dim) == (1, -1) else None


def _same(layer: nn.Module, shape: torch.Size) -> Node:
    return _SAME


_LAYERS: dict[type[nn.Module], Callable[[Any, torch.Size], Node | None]] = {
    nn.Conv2d: _convolution,
    FoldedConv2d: _convolution,
    nn.BatchNorm2d: _batchnorm,
    nn.Linear: _linear,
    nn.ReLU: lambda layer, shape: _made("relu"),
    nn.AvgPool2d: _mean,
    nn.AdaptiveAvgPool2d: _adaptive_mean,
    nn.MaxPool2d: _maximum,
    nn.AdaptiveMaxPool2d: _adaptive_maximum,
    nn.Flatten: _flatten,
    nn.Dropout: _same,
    nn.Dropout2d: _same,
    nn.Identity: _same,
    Normalize: _normalize,
}


def _function(item: fx.Node, inputs: tuple[int, ...]) -> Node | None:
    """The node of a function or a method; None for one that is not known."""
    target, rest, named = item.target, item.args[1:], dict(item.kwargs)
    if target in _SUMS and not named:
        return Node("add", inputs, item.name)
    if target in (torch.relu, functional.relu, "relu", "relu_"):
        return Node("relu", inputs, item.name)
    if target in (torch.flatten, "flatten"):
        plain = (*rest, *named.values()) in ((1,), (1, -1))
        return Node("flatten", inputs, item.name) if plain else None
    if target in ("view", "reshape") and not named:
        whole = len(rest) == 2 and is_batch(rest[0]) and rest[1] == -1
        return Node("flatten", inputs, item.name) if whole else None
    return _SAME if target == "contiguous" else None


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value)


def _real_convolution(node: Node, x: Tensor, *shortcut: Tensor) -> Tensor:
    options = node.options
    answer = functional.conv2d(
        x,
        _of(node.weight, x),
        _of(node.bias, x),
        options["stride"],
        options["padding"],
        options["dilation"],
        options["groups"],
    )
    return answer + shortcut[0] if shortcut else answer


def _real_maximum(node: Node, x: Tensor) -> Tensor:
    options = node.options
    if options["kernel_size"] is None:
        return x.amax(dim=(2, 3), keepdim=True)
    return functional.max_pool2d(x, options["kernel_size"], options["stride"], options["padding"])


def _real_normalize(node: Node, x: Tensor) -> Tensor:
    return x * _of(node.weight, x).view(1, -1, 1, 1) + _of(node.bias, x).view(1, -1, 1, 1)


def _of(tensor: Tensor | None, x: Tensor) -> Tensor:
    assert tensor is not None
    return tensor.to(x.dtype)


_REAL: dict[str, Callable[..., Tensor]] = {
    "normalize": _real_normalize,
    "convolution": _real_convolution,
    "linear": lambda node, x: functional.linear(x, _of(node.weight, x), _of(node.bias, x)),
    "add": lambda node, x, y: x + y,
    "relu": lambda node, x: x.relu(),
    "maximum": _real_maximum,
    "mean": lambda node, x: functional.avg_pool2d(
        x, node.options["kernel_size"], node.options["stride"]
    ),
    "flatten": lambda node, x: x.flatten(1),
}
