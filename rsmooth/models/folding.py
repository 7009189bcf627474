"""Batch norm folded into the convolution before it: the same function in eval mode, but faster.

In eval mode batch norm is the affine map y -> a y + b, where a = gamma / sqrt(var + eps) and
b = beta - a mean. So bn(conv(x; W, c)) = conv(x; a W, a c + b), with one pass over memory less.
Jacob et al. 2018 (arXiv:1712.05877), section 3.2.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from rsmooth.models.normalize import Normalize
from rsmooth.models.state import copied
from rsmooth.models.tracing import trace_call

# Tracing replaces methods of nn.Module for a while: two at once would not put them back.
_one_trace = threading.RLock()


class FoldedConv2d(nn.Conv2d):
    """A convolution whose weight and bias hold a batch norm too, that of path ``batchnorm``."""

    batchnorm: str


class _Pair(NamedTuple):
    """Paths of a convolution and of the batch norm that alone reads its output."""

    convolution: str
    batchnorm: str


class _Triple(NamedTuple):
    """A folded convolution and the two layers that it replaces."""

    folded: FoldedConv2d
    convolution: nn.Conv2d
    batchnorm: nn.BatchNorm2d


@torch.no_grad()
def fold_batchnorm(model: nn.Module) -> nn.Module:
    """An eval-mode copy of a model with batch norm folded into its convolutions.

        fast = fold_batchnorm(base)     # the same function up to rounding
        refold(fast, base)              # after a training step

    A Conv2d and a BatchNorm2d are folded where tracing shows that the one feeds the other alone.
    What cannot be traced stays as it is. Its parts are folded by themselves, which is correct where
    it calls them as a whole; certification compares the answers. The copy's parameters need no
    gradient, while that of its input works. It shares no memory with the model.
    """
    folded = copied(model).eval()
    for parameter in folded.parameters():  # requires_grad_() of a script module is an error
        parameter.requires_grad_(False)
    paths = Counter(id(layer) for _, layer in folded.named_modules(remove_duplicate=False))
    for pair in list(_find_pairs(folded)):
        convolution, batchnorm = _plain(
            folded.get_submodule(pair.convolution), folded.get_submodule(pair.batchnorm)
        )
        # By a second path a layer would still be used as it was.
        if paths[id(convolution)] == paths[id(batchnorm)] == 1:
            folded.set_submodule(pair.convolution, _with_bias(convolution, pair.batchnorm))
            folded.set_submodule(pair.batchnorm, nn.Identity().eval())
    refold(folded, model)
    return folded


@torch.no_grad()
def refold(folded: nn.Module, model: nn.Module) -> None:
    """Copy the model's present weights and statistics into its folded copy, in place.

        refold(fast, base)

    folded: what ``fold_batchnorm(model)`` returned. Its dtype, device and memory format may differ
        from the model's.

    No tensor is reallocated, so that compiled code and captured graphs see the new values. Layers
    of equal shape are computed together, with a few kernels per shape instead of per layer.
    """
    sources = dict(model.named_modules())
    copies: list[tuple[Tensor, Tensor]] = []  # target, source
    groups: dict[tuple[object, ...], list[_Triple]] = defaultdict(list)
    for name, layer in folded.named_modules():
        if isinstance(layer, FoldedConv2d):
            convolution, batchnorm = _plain(sources[name], sources[layer.batchnorm])
            kind = (
                convolution.weight.shape,
                convolution.weight.dtype,
                convolution.weight.device,
                convolution.bias is None,
                batchnorm.weight is None,
                batchnorm.bias is None,
                batchnorm.eps,
            )
            groups[kind].append(_Triple(layer, convolution, batchnorm))
        else:
            own = chain(layer.named_parameters(recurse=False), layer.named_buffers(recurse=False))
            copies += [(tensor, getattr(sources[name], field)) for field, tensor in own]
    for group in groups.values():
        for triple, weight, bias in zip(group, *_folded_tensors(group), strict=True):
            copies += [(triple.folded.weight, weight), (_present(triple.folded.bias), bias)]
    if copies:
        torch._foreach_copy_([target for target, _ in copies], [source for _, source in copies])


def _folded_tensors(group: list[_Triple]) -> tuple[Tensor, Tensor]:
    """Weights (L, O, I, k, k) and biases (L, O) of L folded convolutions of equal shape."""
    convolutions, batchnorms = [t.convolution for t in group], [t.batchnorm for t in group]
    mean = torch.stack([_present(layer.running_mean) for layer in batchnorms])
    scale = (
        torch.stack([_present(layer.running_var) for layer in batchnorms]) + batchnorms[0].eps
    ).rsqrt()
    shift = torch.zeros_like(mean)
    if batchnorms[0].weight is not None:
        scale = scale * torch.stack([layer.weight for layer in batchnorms])
    if batchnorms[0].bias is not None:
        shift = torch.stack([layer.bias for layer in batchnorms])
    if convolutions[0].bias is not None:
        mean = mean - torch.stack([_present(layer.bias) for layer in convolutions])
    weight = torch.stack([layer.weight for layer in convolutions])
    return weight * scale[:, :, None, None, None], shift - mean * scale


def _find_pairs(model: nn.Module, prefix: str = "") -> Iterator[_Pair]:
    """Convolutions and batch norms of an eval-mode model that can be folded."""
    try:
        graph = traced(model)
    # Where tracing cannot follow what a forward does, each child is looked at on its own.
    except Exception:
        for name, child in model.named_children():
            yield from _find_pairs(child, f"{prefix}{name}.")
        return
    uses = Counter(
        str(node.target).rpartition(".")[0] if node.op == "get_attr" else str(node.target)
        for node in graph.nodes
    )
    for node in graph.nodes:
        feeder = node.args[0] if node.args else None
        if (
            node.op == "call_module"
            and isinstance(feeder, fx.Node)
            and feeder.op == "call_module"
            and uses[str(node.target)] == uses[str(feeder.target)] == 1
            and len(feeder.users) == 1
            and _foldable(
                model.get_submodule(str(feeder.target)), model.get_submodule(str(node.target))
            )
        ):
            yield _Pair(f"{prefix}{feeder.target}", f"{prefix}{node.target}")


def traced(model: nn.Module) -> fx.Graph:
    """The steps of a model's forward, by torch.fx, with layers and normalisation as single steps.

        traced(fold_batchnorm(base)).nodes

    Whatever a forward that fx cannot follow raises.
    """
    with _one_trace:
        return trace_call(_Tracer(), model)


def _foldable(convolution: nn.Module, batchnorm: nn.Module) -> bool:
    """Whether both layers are plain ones: a subclass or a hook may compute something else."""
    plain = type(convolution) is nn.Conv2d and type(batchnorm) is nn.BatchNorm2d
    changed = any(_computes_otherwise(layer) for layer in (convolution, batchnorm))
    # A model may keep its batch norms in train mode whatever it is told.
    return plain and not changed and not batchnorm.training and batchnorm.running_mean is not None


def _computes_otherwise(layer: nn.Module) -> bool:
    """Whether hooks, or methods that were set on the object, change what the layer computes."""
    methods = any(callable(getattr(type(layer), name, None)) for name in vars(layer))
    return bool(methods or layer._forward_hooks or layer._forward_pre_hooks)


class _Tracer(fx.Tracer):
    # So that a forward which reads statistics by itself is seen.
    proxy_buffer_attributes = True

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        single = isinstance(m, (Normalize, FoldedConv2d))
        return single or super().is_leaf_module(m, module_qualified_name)

    # Modules that other threads call meanwhile come here too, and must only be called.
    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _with_bias(convolution: nn.Conv2d, batchnorm: str) -> FoldedConv2d:
    """An empty folded convolution of the same geometry, memory format, dtype and device."""
    weight = convolution.weight
    geometry: dict[str, Any] = {
        name: getattr(convolution, name)
        for name in ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    }
    # On the meta device, where no random start is drawn from the caller's generator.
    layer = FoldedConv2d(
        convolution.in_channels,
        convolution.out_channels,
        **geometry,
        device="meta",
        dtype=weight.dtype,
    )
    layer.batchnorm = batchnorm
    # What a padding other than zeros goes by; it was computed when the layer was made.
    layer._reversed_padding_repeated_twice = convolution._reversed_padding_repeated_twice
    layer.weight = nn.Parameter(torch.empty_like(weight), requires_grad=False)
    layer.bias = nn.Parameter(weight.new_empty(weight.shape[0]), requires_grad=False)
    return layer.eval().requires_grad_(False)


def _plain(convolution: nn.Module, batchnorm: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(batchnorm, nn.BatchNorm2d)
    return convolution, batchnorm


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
