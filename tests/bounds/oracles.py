"""Bounds of two small networks as independent public implementations computed them, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rsmooth.models.normalize import Normalize
from rsmooth.registry import MODELS

ARRAYS = np.load(Path(__file__).parent / "published_bounds.npz")
NETS = ("plain", "resnet8")
EPSILONS = [float(epsilon) for epsilon in ARRAYS["eps"]]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}

# The key of each bound, and the options that give it.
MARGINS = {
    "ibp_margin": {"method": "ibp"},
    "ibp_margin_unclipped": {"method": "ibp", "clip": None},
    "crown_ibp_margin": {"method": "crown-ibp"},
    "crown_margin": {"method": "crown"},
    "crown_margin_intersected": {"method": "crown", "intersect": True},
    "fastlin_margin": {"method": "fast-lin"},
    "fastlin_margin_unclipped": {"method": "fast-lin", "clip": None},
}


def expected(key: str) -> Tensor:
    return torch.as_tensor(ARRAYS[key])


def network(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The network of that name, in eval mode."""
    net: nn.Module
    if name == "plain":
        net = nn.Sequential(
            Normalize(0.3, 0.35),
            nn.Conv2d(1, 8, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, 32),
            nn.ReLU(),
            nn.Linear(32, 10),
        )
    else:
        net = MODELS.create(name, normalize=((0.3,), (0.35,)), in_channels=1)
    prefix = f"{name}/state/"
    weights = {key.removeprefix(prefix): expected(key) for key in ARRAYS if key.startswith(prefix)}
    net.load_state_dict(weights)
    return net.to(dtype).eval()


def images(name: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return expected(f"{name}/x").to(dtype), expected("y")


def assert_equal(found: Tensor, key: str, dtype: torch.dtype = torch.float64) -> None:
    """Equal to the arrays of that key up to the tolerance of dtype, relative to the largest."""
    known = expected(key)
    error = (found.detach().double() - known).abs().max() / known.abs().max()
    assert error < TOLERANCE[dtype], f"{key}: relative error {float(error):.3g}"
