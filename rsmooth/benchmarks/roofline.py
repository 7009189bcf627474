"""The best speed of a network on a GPU, from the memory traffic and arithmetic of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth.models.folding import fold_batchnorm

# Of an H200, as others measured: copies, and bfloat16 products.
BYTES_A_SECOND, FLOP_A_SECOND = 4.3e12, 790e12
VALUE_BYTES = 2


@dataclass
class _Layer:
    """The cost of one image in one layer.

    Batch norm, ReLU and the sum with a shortcut cost nothing more: they are part of the layer.
    """

    bytes: float
    flop: float


def images_a_second(base: nn.Module, shape: Sequence[int]) -> float:
    """Images (C, H, W) per second on an H200, if only memory or arithmetic limits each layer.

        images_a_second(MODELS.create("resnet20", num_classes=10), (3, 32, 32))

    Every convolution and linear layer reads its input and writes its output once, in bfloat16; one
    that ends a residual block also reads the shortcut. Weights stay in the cache and do not count.
    """
    net, layers = fold_batchnorm(base).cpu(), list[_Layer]()

    def layer(module: Any, given: tuple[Tensor, ...], out: Tensor) -> None:
        inputs = module.weight[0].numel()  # of one output value
        layers.append(
            _Layer(VALUE_BYTES * (given[0].numel() + out.numel()), 2.0 * inputs * out.numel())
        )

    def block(module: Any, given: tuple[Tensor, ...], out: Tensor) -> None:
        layers[-1].bytes += VALUE_BYTES * out.numel()

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(layer)
        elif hasattr(module, "downsample"):
            module.register_forward_hook(block)
    with torch.no_grad():
        net(torch.zeros(1, *shape))
    return 1.0 / sum(max(one.bytes / BYTES_A_SECOND, one.flop / FLOP_A_SECOND) for one in layers)
