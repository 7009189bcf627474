"""Batch norm folded into the convolution before it: the same function in eval mode, with fewer passes over memory.

In eval mode batch norm is the affine map y -> a y + b with a = gamma / sqrt(var + eps) and b = beta - a mean, so that
bn(conv(x; W, c)) = conv(x; a W, a c + b) (Jacob et al. 2018, arXiv:1712.05877, section 3.2).
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from rsmooth.models.normalize import Normalize


class FoldedConv2d(nn.Conv2d):
    """A convolution that holds, in its weight and bias, the batch norm that stood at the path ``batchnorm``."""

    batchnorm: str


class _Pair(NamedTuple):
    """Paths of a convolution and of the batch norm that alone reads its output."""

    convolution: str
    batchnorm: str


@torch.no_grad()
def fold_batchnorm(model: nn.Module) -> nn.Module:
    """An eval-mode copy of the model with batch norm folded into convolutions; the same function up to rounding.

    A Conv2d and a BatchNorm2d are folded where tracing shows that the one feeds the other and nothing else; whatever
    cannot be traced stays as it is, and stays correct. The copy's parameters need no gradient (its input's gradient
    works), it shares no memory with the model, and ``refold`` brings it up to date.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for pair in _find_pairs(folded):
        convolution = folded.get_submodule(pair.convolution)
        assert isinstance(convolution, nn.Conv2d)
        folded.set_submodule(pair.convolution, _with_bias(convolution, pair.batchnorm))
        folded.set_submodule(pair.batchnorm, nn.Identity())
    refold(folded, model)
    return folded


@torch.no_grad()
def refold(folded: nn.Module, model: nn.Module) -> None:
    """Copy the model's present weights and statistics into the folded copy, in place.

    folded: what ``fold_batchnorm(model)`` returned; its dtype, device and memory format may differ from the model's.
    No tensor is reallocated, so compiled code and captured graphs see the new values. Layers of equal shape are
    computed together: a few kernels for each shape, not for each layer.
    """
    pairs = [_Pair(name, layer.batchnorm) for name, layer in folded.named_modules() if isinstance(layer, FoldedConv2d)]
    targets, sources = _unfolded_tensors(folded, model, pairs)
    groups: dict[tuple[object, ...], list[_Pair]] = defaultdict(list)
    for pair in pairs:
        convolution, batchnorm = _layers(model, pair)
        groups[(convolution.weight.shape, convolution.weight.dtype, convolution.weight.device, batchnorm.eps,
                convolution.bias is None, batchnorm.affine)].append(pair)
    for group in groups.values():
        weights, biases = _folded_tensors([_layers(model, pair) for pair in group])
        for pair, weight, bias in zip(group, weights, biases, strict=True):
            layer = folded.get_submodule(pair.convolution)
            assert isinstance(layer, FoldedConv2d)
            targets += [layer.weight, _present(layer.bias)]
            sources += [weight, bias]
    torch._foreach_copy_(targets, sources)


def _folded_tensors(layers: list[tuple[nn.Conv2d, nn.BatchNorm2d]]) -> tuple[Tensor, Tensor]:
    """Weights (L, O, I, k, k) and biases (L, O) of L equally shaped convolutions with their batch norms folded in."""
    mean = torch.stack([_present(batchnorm.running_mean) for _, batchnorm in layers])
    scale = (torch.stack([_present(batchnorm.running_var) for _, batchnorm in layers]) + layers[0][1].eps).rsqrt()
    shift = torch.zeros_like(mean)
    if layers[0][1].affine:
        scale = scale * torch.stack([batchnorm.weight for _, batchnorm in layers])
        shift = torch.stack([batchnorm.bias for _, batchnorm in layers])
    if layers[0][0].bias is not None:
        mean = mean - torch.stack([_present(convolution.bias) for convolution, _ in layers])
    weight = torch.stack([convolution.weight for convolution, _ in layers])
    return weight * scale[:, :, None, None, None], shift - mean * scale


def _unfolded_tensors(folded: nn.Module, model: nn.Module, pairs: list[_Pair]) -> tuple[list[Tensor], list[Tensor]]:
    """Targets and sources of all parameters and buffers that folding left alone."""
    replaced = {f"{pair.convolution}.{name}" for pair in pairs for name in ("weight", "bias")}
    present = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    left = {name: tensor for name, tensor in (*folded.named_parameters(), *folded.named_buffers())
            if name not in replaced}
    return list(left.values()), [present[name] for name in left]


def _find_pairs(model: nn.Module, prefix: str = "") -> Iterator[_Pair]:
    """Convolutions and batch norms of an eval-mode model that can be folded, by tracing it or else its children."""
    try:
        graph = _Tracer().trace(model)
    except Exception:  # whatever a forward does that tracing cannot follow; then each child is looked at on its own
        for name, child in model.named_children():
            yield from _find_pairs(child, f"{prefix}{name}.")
        return
    calls = Counter(node.target for node in graph.nodes)
    for node in graph.nodes:
        feeder = node.args[0] if node.args else None
        if (node.op == "call_module" and isinstance(feeder, fx.Node) and feeder.op == "call_module"
                and calls[node.target] == calls[feeder.target] == 1 and len(feeder.users) == 1
                and _foldable(model.get_submodule(str(feeder.target)), model.get_submodule(str(node.target)))):
            yield _Pair(f"{prefix}{feeder.target}", f"{prefix}{node.target}")


def _foldable(convolution: nn.Module, batchnorm: nn.Module) -> bool:
    """Plain layers only: a subclass (parametrisation, quantisation) or a hook may compute something else."""
    plain = type(convolution) is nn.Conv2d and type(batchnorm) is nn.BatchNorm2d
    hooked = any(layer._forward_hooks or layer._forward_pre_hooks for layer in (convolution, batchnorm))
    return plain and not hooked and batchnorm.running_mean is not None


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Normalize) or super().is_leaf_module(m, module_qualified_name)


def _with_bias(convolution: nn.Conv2d, batchnorm: str) -> FoldedConv2d:
    """An empty folded convolution of the same geometry, memory format, dtype and device."""
    weight = convolution.weight
    layer = FoldedConv2d(convolution.in_channels, convolution.out_channels, convolution.kernel_size,  # type: ignore[arg-type]
                         stride=convolution.stride, padding=convolution.padding, dilation=convolution.dilation,  # type: ignore[arg-type]
                         groups=convolution.groups, padding_mode=convolution.padding_mode, device=weight.device,
                         dtype=weight.dtype)
    layer.batchnorm = batchnorm
    layer.weight = nn.Parameter(torch.empty_like(weight), requires_grad=False)
    return layer.eval().requires_grad_(False)


def _layers(model: nn.Module, pair: _Pair) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    convolution, batchnorm = model.get_submodule(pair.convolution), model.get_submodule(pair.batchnorm)
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(batchnorm, nn.BatchNorm2d)
    return convolution, batchnorm


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
