"""Layers whose map follows from buffers, a mode, or the batch: fixed before they are bounded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsmooth.bounds.layers import Affine, Diagonal, Op
from rsmooth.models.normalize import Normalize


class Moded(Op, ABC):
    """An op that is affine once its constants are known."""

    @abstractmethod
    def fixed(self, name: str) -> Affine:
        """The map in eval mode; ValueError, naming the layer, where its mode makes it another."""

    @abstractmethod
    def clean(self, x: Tensor, name: str, *, update: bool) -> tuple[Tensor, Affine]:
        """What the layer makes of x in its present mode, and that map."""


@dataclass(frozen=True)
class Normalization(Moded):
    """``Normalize``, the first layer."""

    layer: Normalize

    def fixed(self, name: str) -> Affine:
        mean = self.layer.mean[0]
        scale = torch.ones_like(mean) if self.layer.std is None else 1 / self.layer.std[0]
        return Diagonal(scale, -mean * scale, (mean * scale).abs())

    def clean(self, x: Tensor, name: str, *, update: bool) -> tuple[Tensor, Affine]:
        return self.layer.forward(x), self.fixed(name)


@dataclass(frozen=True)
class Factor(Moded):
    """Multiplication with a number, or division by it."""

    number: float
    divide: bool

    def fixed(self, name: str) -> Affine:
        factor = 1 / self.number if self.divide else self.number
        return _scaling(factor)

    def clean(self, x: Tensor, name: str, *, update: bool) -> tuple[Tensor, Affine]:
        return x / self.number if self.divide else x * self.number, self.fixed(name)


@dataclass(frozen=True)
class Dropout(Moded):
    """The identity in eval mode."""

    layer: nn.Module

    def fixed(self, name: str) -> Affine:
        if self.layer.training:
            raise ValueError(
                f"expected dropout in eval mode, got {name} in train mode; call net.eval(), or "
                "that layer's"
            )
        return _scaling(1.0)

    def clean(self, x: Tensor, name: str, *, update: bool) -> tuple[Tensor, Affine]:
        return x, self.fixed(name)


@dataclass(frozen=True)
class BatchNorm(Moded):
    """y = weight (x - mean) / sqrt(var + eps) + bias, of the running or of the batch's statistics.

    Ioffe & Szegedy 2015 (arXiv:1502.03167); the variance of the batch is the biased one.
    """

    layer: nn.BatchNorm1d | nn.BatchNorm2d

    def fixed(self, name: str) -> Affine:
        mean, var = self.layer.running_mean, self.layer.running_var
        if self.layer.training or mean is None or var is None:
            raise ValueError(
                f"expected batch norm in eval mode, with running statistics, got {name} "
                f"({self.layer}) in {'train' if self.layer.training else 'eval'} mode; call "
                "net.eval()"
            )
        return self._standardization(mean, var)

    def clean(self, x: Tensor, name: str, *, update: bool) -> tuple[Tensor, Affine]:
        layer = self.layer
        if not layer.training:
            return layer.forward(x), self.fixed(name)
        var, mean = torch.var_mean(x, dim=[0, *range(2, x.ndim)], correction=0)
        if update:
            z = layer.forward(x)
        else:
            z = functional.batch_norm(x, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)
        return z, self._standardization(mean, var)

    def _standardization(self, mean: Tensor, var: Tensor) -> Diagonal:
        scale = (var + self.layer.eps).rsqrt()
        if self.layer.weight is not None:
            scale = scale * self.layer.weight
        moved = mean * scale
        shift, size = -moved, moved.abs()
        if self.layer.bias is not None:
            shift, size = self.layer.bias - moved, self.layer.bias.abs() + size
        shape = (-1, 1, 1) if isinstance(self.layer, nn.BatchNorm2d) else (-1,)
        return Diagonal(scale.view(shape), shift.view(shape), size.view(shape))


def _scaling(factor: float) -> Diagonal:
    # A tensor without axes takes the device and the precision of what it is multiplied with.
    zero = torch.zeros((), dtype=torch.float64, device="cpu")
    return Diagonal(torch.tensor(factor, dtype=torch.float64, device="cpu"), zero, zero)
