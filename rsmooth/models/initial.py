"""First weights with which interval bounds neither explode nor vanish from layer to layer."""

from __future__ import annotations

import math
from collections.abc import Collection

from torch import nn


def initialise_for_intervals(module: nn.Module, after_sums: Collection[nn.Module] = ()) -> None:
    """Draw the weights of all convolutions and linear layers but the last from N(0, 2 pi / n^2).

        initialise_for_intervals(base)

    n is the number of inputs of an output (fan-in). An interval then keeps its mean width from one
    layer through a ReLU to the next.
    after_sums: layers that read the sum of a residual block, through a ReLU. Their weights are
        halved, since a sum doubles the width.

    Shi et al. 2021 (arXiv:2103.17268). Biases and batch norm stay as they are.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for layer in layers[:-1]:
        fan_in = layer.weight[0].numel()
        nn.init.normal_(layer.weight, 0.0, math.sqrt(2 * math.pi) / fan_in)
        if layer in after_sums:
            layer.weight.data.div_(2)
