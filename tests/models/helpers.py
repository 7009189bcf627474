"""Registered models that are small enough for a test."""

from __future__ import annotations

import torch
from torch import nn

from rsmooth.registry import MODELS

# Options that make an entry small enough for a test; an entry not named here is built with none.
SMALL = {
    "resnet110": {"in_channels": 1},
    "mlp": {"in_channels": 1, "image_size": 16},
    "resnet50": {},
    "cifar-resnet": {"in_channels": 1, "depth": 8},
    "resnet9": {"in_channels": 1, "width": 8},
    "wrn-28-10": {"in_channels": 1, "depth": 10, "widen": 1},
    **{
        name: {"in_channels": 1, "image_size": 16, "width": 4}
        for name in ("wk-small", "wk-large", "wk-resnet", "cnn7", "dm-large", "cnn7-bn")
    },
    "patch-cnn": {"in_channels": 1, "widths": (8, 16)},
}


# Models made of others, and networks of other packages, have tests of their own.
OTHERS = {"denoised", "ensemble", "int8", "timm", "torchvision", "hf", "efficientnet-lite0"}
OWN = [name for name in MODELS.own_names() if name not in OTHERS]


def build(name, **options):
    options = {**SMALL.get(name, {"in_channels": 1}), "num_classes": 7, **options}
    torch.manual_seed(0)
    channels = options.get("in_channels", 3)
    return MODELS.create(name, **options), torch.rand(4, channels, 16, 16)


def count_multiply_adds(model, x):
    total = 0

    def count(layer, _, out):
        nonlocal total
        weights_per_output = layer.weight.numel() // layer.weight.shape[0]
        total += out.numel() * weights_per_output

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(x)
    return total
