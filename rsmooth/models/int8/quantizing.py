"""A trained classifier as one of 8-bit integers, with steps that training images decide.

Jacob et al. 2018 (arXiv:1712.05877) and Jain et al. 2020 (arXiv:1903.08066). The tools that torch
has for this do not serve: torch.ao.quantization is deprecated, and what torchao's pt2e makes in its
place is a program for one compiler, whose scales of any size round again at each layer. Here are
layers in a file, with exact sums. Their kernels are those that this compiler calls too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rsmooth.models.int8.grids import (
    EXACT,
    EXACT_DOUBLE,
    FINEST,
    LEVELS,
    Grid,
    at_exponent,
    choose_grid,
    round_weights,
)
from rsmooth.models.int8.layers import FRACTION
from rsmooth.models.int8.network import is_int8
from rsmooth.models.int8.reading import Node, read_network, run
from rsmooth.noise.continuous import draw
from rsmooth.noise.keys import derive_key
from rsmooth.plumbing.numbers import check_integer
from rsmooth.plumbing.tensors import channels_taken, check_images
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier, check_smoothed

VALUES = 128 * 3 * 32 * 32  # pixels that pass at once
# Activations of a layer that decide its grid: more change nothing but the time.
SAMPLED = 2**18
# Integers of a linear layer's weights, which costs nothing, since it is small.
WIDE = 2**15 - 1


@torch.inference_mode(False)
@torch.no_grad()
def quantize(g: SmoothedClassifier, images: Tensor, *, seed: int = 0) -> SmoothedClassifier:
    """The smoothed classifier of g's network in 8-bit integers: another classifier, with a hash.

        g8 = quantize(g, train_images, seed=0)      # images (N, C, H, W) in [0, 1]
        g8.save("model.int8.pt")
        certify(g8, x, n=100_000)                   # "numerics": {"dtype": "int8", ...}

    images: training images, some hundreds. Never those to certify: the network may depend on them,
        and a certificate holds for images that it does not know.
    seed: of the noise that they get, which is g's, one sample each.

    Weights are signed integers of 8 bits with a step for each channel, activations unsigned ones
    with a step for each layer; those of linear layers have 16 bits. Steps are powers of two. The
    images decide them, so that activations lose least in mean squares. Batch norm is in the
    convolutions. The network takes images of the size of these alone.

    A certificate of g8 is not one of g, nor the other way round. ValueError for a network with
    layers that integers do not compute here, and for images that are none.
    """
    check_smoothed(g)
    check_integer(seed, "seed")
    if is_int8(g.base):
        raise ValueError("expected a network of real numbers, got an Int8Network; take it as it is")
    images = images.to("cpu")
    check_images(images, channels=channels_taken(g.base))
    if not len(images):
        raise ValueError("expected training images, got none; give some hundreds")
    x = _noisy(g, images.float(), seed)
    nodes = read_network(g.base, x[:2])
    grids = _grids(nodes, x)
    specs, integers = _layers(nodes, grids)
    made = {"seed": int(seed), "images": len(images), "noise": g.noise.record()}
    base = MODELS.create("int8", layers=specs, shape=list(images.shape[1:]), made=made)
    base.load_state_dict(integers)
    return g.around(base).eval()


def _noisy(g: SmoothedClassifier, images: Tensor, seed: int) -> Tensor:
    ids = torch.arange(len(images))
    if g.noise.scale_value == 0:
        return images
    key = derive_key(seed, "calibrate")
    return images + draw(g.noise, key, ids, torch.zeros_like(ids), tuple(images.shape[1:]))


def _grids(nodes: list[Node], x: Tensor) -> list[Grid]:
    """The grid of each node's answer. That of the last one, which gives real numbers, is unused."""
    kept: list[list[Tensor]] = [[] for _ in nodes]
    batch = max(1, VALUES // x[0].numel())
    share = max(1, SAMPLED * batch // max(len(x), batch))
    for part in torch.split(x, batch):
        for values, sampled in zip(run(nodes, part), kept, strict=True):
            flat = values.flatten()
            sampled += [flat[:: 1 + flat.numel() // share], torch.stack(torch.aminmax(flat))]
    found: list[Grid] = []
    for at, node in enumerate(nodes):
        if node.kind in ("relu", "maximum", "flatten"):
            found.append(found[node.inputs[0]])
        elif node.kind == "mean":
            source, size = found[node.inputs[0]], math.prod(node.options["kernel_size"])
            found.append(Grid(source.exponent, source.zero * size))
        else:
            found.append(choose_grid(torch.cat(kept[at])))
    return found


def _layers(nodes: list[Node], grids: list[Grid]) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Specs and integers of the layers; the image and its normalisation become one."""
    place, specs = {0: 0}, list[dict[str, Any]]()
    integers: dict[str, Tensor] = {}
    divisors = [1] * len(nodes)  # of the sums that means are
    if nodes[1].kind != "normalize":
        nodes = [nodes[0], Node("normalize", (0,), "image"), *_shifted(nodes[1:])]
        grids, divisors = [grids[0], *grids], [1, *divisors]
    for at, node in enumerate(nodes[1:], start=1):
        sources = [grids[source] for source in node.inputs]
        wide = [source for source in node.inputs if divisors[source] > 1]
        if node.kind == "normalize":
            if node.inputs != (0,):
                raise _unsupported(node, "Normalize after the first layer")
            sources = []
        if wide and node.kind not in ("flatten", "linear"):
            raise _unsupported(node, "mean pooling before a layer that is not linear")
        if node.kind == "mean":
            divisors[at] = math.prod(node.options["kernel_size"])
        elif node.kind == "flatten":
            divisors[at] = divisors[node.inputs[0]]
        last = at == len(nodes) - 1
        spec, own = _layer(node, sources, grids[at], divisors[node.inputs[0]], last)
        own["grids"] = torch.tensor([*sources, grids[at]])
        place[at] = len(specs) + 1
        integers.update({f"layers.{len(specs)}.{name}": own[name] for name in own})
        specs.append({**spec, "inputs": [place[source] for source in node.inputs]})
    if nodes[-1].kind != "linear" or nodes[-1].relu:
        raise _unsupported(nodes[-1], "a last layer that is not linear")
    return specs, integers


def _shifted(nodes: list[Node]) -> list[Node]:
    """Nodes with one more node before them, which takes the image's place."""
    return [
        Node(
            node.kind,
            tuple(at + 1 for at in node.inputs),
            node.name,
            node.relu,
            node.weight,
            node.bias,
            node.options,
        )
        for node in nodes
    ]


def _layer(
    node: Node, sources: Sequence[Grid], answer: Grid, divisor: int, last: bool
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if node.kind == "normalize":
        return _first(node, answer)
    if node.kind == "convolution":
        return _convolution(node, sources, answer)
    if node.kind == "linear":
        return _linear(node, sources[0], answer, divisor, last)
    if node.kind == "add":
        return {"kind": "add", "relu": node.relu}, {}
    kind = "total" if node.kind == "mean" else node.kind
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in node.options.items()
    }
    return {"kind": kind, **plain}, {}


def _first(node: Node, answer: Grid) -> tuple[dict[str, Any], dict[str, Tensor]]:
    scale = 2.0**-answer.exponent
    weight = torch.ones(1) if node.weight is None else node.weight
    bias = torch.zeros(1) if node.bias is None else node.bias
    factor, offset = weight * scale, bias * scale + answer.zero
    if float(factor.abs().max()) >= EXACT >> FRACTION:
        raise ValueError(
            f"expected noisy images whose values differ, got a step of 2^{answer.exponent}; give "
            "training images"
        )
    own = {
        name: (numbers * 2**FRACTION).round().to(torch.int32)
        for name, numbers in (("factor", factor), ("offset", offset))
    }
    return {"kind": "quantize", "channels": len(factor)}, own


def _convolution(
    node: Node, sources: Sequence[Grid], answer: Grid
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Integers of a convolution, whose sums are below 2^24 and no finer than is exact."""
    assert node.weight is not None
    assert node.bias is not None
    source, shortcut = sources[0], sources[1:]
    _, exponent = round_weights(node.weight, 127)
    exponent = exponent.clamp(min=answer.exponent - FINEST - source.exponent)
    while True:
        integers = at_exponent(node.weight, exponent, 127)
        sums = exponent + source.exponent
        bias = (node.bias / torch.exp2(sums)).round()
        beyond = _with_shortcut(_largest(integers, bias, source), sums, shortcut) >= EXACT
        _check_shortcut(node, sums[beyond], shortcut, answer)
        if not bool(beyond.any()):
            break
        exponent = exponent + beyond.double()
    spec = {
        "kind": "convolution",
        "shape": list(node.weight.shape),
        **{name: list(node.options[name]) for name in ("stride", "padding", "dilation")},
        "groups": node.options["groups"],
        "shortcut": bool(shortcut),
        "relu": node.relu,
    }
    own = {"weight": integers.to(torch.int8), "bias": bias.int(), "exponent": sums.int()}
    return spec, own


def _largest(integers: Tensor, bias: Tensor, source: Grid, most: int = LEVELS) -> Tensor:
    """A bound (O,) on all that is summed of inputs within 0..most, whatever the image."""
    rows = integers.flatten(1)
    positive, negative = rows.clamp(min=0).sum(dim=1), rows.clamp(max=0).sum(dim=1).abs()
    bound = most * torch.maximum(positive, negative) + bias.abs()
    return bound + source.zero * (positive - negative).abs()


def _with_shortcut(bound: Tensor, sums: Tensor, shortcut: Sequence[Grid]) -> Tensor:
    """The bound (O,) with a shortcut, in steps of the finest term."""
    for grid in shortcut:
        finest = sums.clamp(max=grid.exponent)
        bound = bound * torch.exp2(sums - finest) + LEVELS * torch.exp2(grid.exponent - finest)
    return bound


def _check_shortcut(node: Node, beyond: Tensor, shortcut: Sequence[Grid], answer: Grid) -> None:
    """ValueError for a shortcut in steps that are too fine beside the sum.

    beyond: the steps of the sums that are too large. Where a shortcut is finer, coarser weights do
    not help: all of them would become 0.
    """
    for grid in shortcut:
        rounds = answer.zero > 0 and grid.exponent < answer.exponent - FINEST
        if rounds or bool((beyond >= grid.exponent).any()):
            raise _unsupported(node, "a sum of numbers some thousand times apart")


def _linear(
    node: Node, source: Grid, answer: Grid, divisor: int, last: bool
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Integers of a linear layer, whose sums are below 2^53, up to which float64 is exact."""
    assert node.weight is not None
    assert node.bias is not None
    weight = node.weight / divisor
    exponent = math.ceil(math.log2(max(float(weight.abs().max()), 2.0**-100) / WIDE))
    while True:
        step = 2.0 ** (exponent + source.exponent)
        integers, bias = (weight / 2.0**exponent).round(), (node.bias / step).round()
        # Beside weights that are all next to nothing, a bias has many steps.
        if float(_largest(integers, bias, source, LEVELS * divisor).max()) < EXACT_DOUBLE:
            break
        exponent += 1
    own = {
        "weight": integers.to(torch.int16),
        "bias": bias.to(torch.int64),
        "exponent": torch.tensor(exponent + source.exponent, dtype=torch.int32),
    }
    spec = {"kind": "linear", "shape": list(weight.shape), "relu": node.relu, "last": last}
    return spec, own


def _unsupported(node: Node, what: str) -> ValueError:
    return ValueError(
        f"expected layers that 8-bit integers can compute here, got {what}, at {node.name}; keep "
        "the network as it is"
    )
