"""How much a network computes, by its convolutions and linear layers."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor, nn


class ReachedError(Exception):
    """The layer that was asked for has its input: no error, but the end of what is needed."""


def multiply_adds(net: nn.Module, x: Tensor, until: nn.Module | None = None) -> int:
    """How many multiply-adds a network needs for images (N, C, H, W), at least 1.

        multiply_adds(net, torch.zeros(1, 3, 32, 32))

    until: the layer before which to stop.
    """
    total = 0

    def count(layer: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        weight: Tensor = layer.weight  # type: ignore[assignment]
        total += out.numel() * weight[0].numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in net.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    if until is not None:
        hooks.append(until.register_forward_pre_hook(_stop))
    try:
        with torch.no_grad(), suppress(ReachedError):
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return max(total, 1)


def _stop(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
    raise ReachedError
