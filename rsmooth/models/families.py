"""The options of each registered network, worked out from the shapes of its weights.

Each function gives the options that would make the shapes at hand, from the few layers that tell.
Whether all other layers fit too is for the caller to see. A layer that is absent is a KeyError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
Solver = Callable[[Shapes], Iterator[dict[str, Any]]]


def _resnet(depth: int) -> Solver:
    def solve(shapes: Shapes) -> Iterator[dict[str, Any]]:
        for options in _cifar_resnet(shapes):
            if options.pop("depth") == depth and options.pop("shortcut") == "convolution":
                yield options

    return solve


def _cifar_resnet(shapes: Shapes) -> Iterator[dict[str, Any]]:
    blocks = _count(shapes, r"layer1\.(\d+)\.conv1\.weight")
    paths = any(".downsample." in name for name in shapes)
    yield {
        **_ends(shapes, "conv1.weight", "fc.weight"),
        "depth": 6 * blocks + 2,
        "shortcut": "convolution" if paths else "padding",
    }


def _resnet50(shapes: Shapes) -> Iterator[dict[str, Any]]:
    if shapes["conv1.weight"] == (64, 3, 7, 7) and "layer3.5.conv3.weight" in shapes:
        yield {"num_classes": shapes["fc.weight"][0]}


def _wrn(shapes: Shapes) -> Iterator[dict[str, Any]]:
    count = _count(shapes, r"(\d+)\.conv1\.weight")
    widen = shapes["1.conv1.weight"][0] // 16
    sizes = _ends(shapes, "0.weight", f"{count + 5}.weight")
    yield {**sizes, "depth": 2 * count + 4, "widen": widen}


def _resnet9(shapes: Shapes) -> Iterator[dict[str, Any]]:
    sizes = _ends(shapes, "0.0.weight", "11.weight")
    yield {**sizes, "width": shapes["0.0.weight"][0]}


def _patch_cnn(shapes: Shapes) -> Iterator[dict[str, Any]]:
    residual = any(name.endswith("conv1.weight") for name in shapes)
    step = 5 if residual else 7  # entries of the Sequential in each block
    firsts = [name for at in range(2, 60, step) if len(shapes.get(name := f"{at}.weight", ())) == 4]
    head = 2 + step * len(firsts) + 2
    yield {
        **_ends(shapes, "0.weight", f"{head}.weight"),
        "patch_width": shapes["0.weight"][0],
        "widths": [shapes[name][0] for name in firsts],
        "residual": residual,
    }


def _small_cnn(shapes: Shapes) -> Iterator[dict[str, Any]]:
    yield {**_ends(shapes, "0.weight", "11.weight"), "width": shapes["0.weight"][0]}


def _mlp(shapes: Shapes) -> Iterator[dict[str, Any]]:
    layers = sorted(int(name.split(".")[0]) for name in shapes if name.endswith(".weight"))
    sizes = [shapes[f"{at}.weight"] for at in layers]
    for channels in (1, 3):
        side = math.isqrt(sizes[0][1] // channels)
        if side >= 1 and channels * side**2 == sizes[0][1]:
            yield {
                "num_classes": sizes[-1][0],
                "in_channels": channels,
                "image_size": side,
                "hidden": [size[0] for size in sizes[:-1]],
            }


def _on_grid(first: str, wide: str, head: str, per_width: int, pooled: int) -> Solver:
    """Networks whose linear layer sees width * per_width channels of an image shrunk so far."""

    def solve(shapes: Shapes) -> Iterator[dict[str, Any]]:
        width = shapes[first][0]
        left = math.isqrt(shapes[wide][1] // (per_width * width))
        sizes = _ends(shapes, first, head)
        yield {**sizes, "image_size": pooled * left, "width": width}

    return solve


def _dncnn(shapes: Shapes) -> Iterator[dict[str, Any]]:
    kernels = [shape for shape in shapes.values() if len(shape) == 4]
    width, channels = shapes["dncnn.0.weight"][:2]
    yield {"depth": len(kernels), "width": width, "in_channels": channels}


def _memnet(shapes: Shapes) -> Iterator[dict[str, Any]]:
    width, channels = shapes["feature_extractor.conv.weight"][:2]
    yield {
        "width": width,
        "memories": _count(shapes, r"dense_memory\.(\d+)\.gate_unit\.conv\.weight"),
        "blocks": _count(shapes, r"dense_memory\.0\.recursive_unit\.(\d+)\.relu_conv1\.conv.*"),
        "in_channels": channels,
    }


def _ffdnet(shapes: Shapes) -> Iterator[dict[str, Any]]:
    width, inputs = shapes["layers.0.weight"][:2]
    depth = _count(shapes, r"layers\.(\d+)\.weight")
    channels = (inputs - 1) // 4
    # The level of the noise is no weight; any will do to compare shapes.
    yield {"sigma": 0.25, "depth": depth, "width": width, "in_channels": channels}


def _blind(shapes: Shapes) -> Iterator[dict[str, Any]]:
    width, channels = shapes["layers.0.weight"][:2]
    depth = _count(shapes, r"layers\.(\d+)\.weight")
    yield {"depth": depth, "width": width, "in_channels": channels}


def _ends(shapes: Shapes, first: str, head: str) -> dict[str, Any]:
    """Classes and channels by the first and the last layer of a network."""
    return {"num_classes": shapes[head][0], "in_channels": shapes[first][1]}


def _count(shapes: Shapes, pattern: str) -> int:
    """How many different numbers there are in the names that fit; KeyError for none."""
    found = {match[1] for name in shapes if (match := re.fullmatch(pattern, name))}
    if not found:
        raise KeyError(pattern)
    return len(found)


FAMILIES: dict[str, Solver] = {
    "resnet8": _resnet(8),
    "resnet20": _resnet(20),
    "resnet110": _resnet(110),
    "cifar-resnet": _cifar_resnet,
    "resnet50": _resnet50,
    "wrn-28-10": _wrn,
    "resnet9": _resnet9,
    "patch-cnn": _patch_cnn,
    "small-cnn": _small_cnn,
    "wk-small": _on_grid("0.weight", "5.weight", "7.weight", 2, 4),
    "wk-large": _on_grid("0.weight", "9.weight", "13.weight", 2, 4),
    "wk-resnet": _on_grid("0.weight", "7.weight", "9.weight", 4, 4),
    "cnn7": _on_grid("0.weight", "11.weight", "13.weight", 2, 2),
    "dm-large": _on_grid("0.weight", "11.weight", "13.weight", 2, 2),
    "cnn7-bn": _on_grid("0.weight", "16.weight", "19.weight", 2, 2),
    "mlp": _mlp,
    "dncnn": _dncnn,
    "memnet": _memnet,
    "ffdnet": _ffdnet,
    "dncnn-blind": _blind,
}
