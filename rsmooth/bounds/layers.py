"""What bounds have to know of a layer: z = W x + b, its |W|, and its transpose.

Weights are read when they are used, so that a traced network follows its training, and gradients
reach the parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Size, Tensor, nn
from torch.nn import functional


class Op:
    """A step of a network: a tensor, or two, to a tensor."""


class Input(Op):
    """The images."""


class Relu(Op):
    """max(z, 0)."""


class Sum(Op):
    """The sum of two nodes."""


@dataclass(frozen=True)
class MaxPool(Op):
    """A maximum over windows; ``pool`` (N, C, H, W) -> (N, C, H', W')."""

    pool: Callable[[Tensor], Tensor]


class Affine(Op, ABC):
    """z = W x + b, for tensors (N, ...) with any N."""

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """W x + b: (N, *in) -> (N, *out)."""

    @abstractmethod
    def spread(self, radius: Tensor) -> Tensor:
        """|W| radius: (N, *in) -> (N, *out)."""

    @abstractmethod
    def pull(self, rows: Tensor, shape: Size) -> Tensor:
        """The transpose, rows W: (N, *out) -> (N, *in), where ``shape`` is in."""

    def offset(self, rows: Tensor) -> Tensor | float:
        """Of rows . b: (N, *out) -> (N,)."""
        return 0.0

    def offset_size(self, z: Tensor) -> Tensor | float:
        """|b|, or the sizes of the terms that b was computed from; it broadcasts to z (N, *out)."""
        return 0.0


@dataclass(frozen=True)
class Linear(Affine):
    """A fully connected layer."""

    layer: nn.Linear

    def apply(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.layer.weight, self.layer.bias)

    def spread(self, radius: Tensor) -> Tensor:
        return functional.linear(radius, self.layer.weight.abs())

    def pull(self, rows: Tensor, shape: Size) -> Tensor:
        return rows @ self.layer.weight

    def offset(self, rows: Tensor) -> Tensor | float:
        return 0.0 if self.layer.bias is None else (rows * self.layer.bias).flatten(1).sum(dim=1)

    def offset_size(self, z: Tensor) -> Tensor | float:
        return 0.0 if self.layer.bias is None else self.layer.bias.abs()


@dataclass(frozen=True)
class Convolution(Affine):
    """A convolution; ``padding``: zeros on each side, of rows and of columns."""

    layer: nn.Conv2d
    padding: tuple[int, int]

    def apply(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.layer.weight, self.layer.bias)

    def spread(self, radius: Tensor) -> Tensor:
        return self._convolve(radius, self.layer.weight.abs(), None)

    def pull(self, rows: Tensor, shape: Size) -> Tensor:
        layer = self.layer
        # Several input sizes give one output size: without the rest, a stride loses the last rows.
        rest = [
            size - ((out - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1)
            for size, out, stride, pad, dilation, kernel in zip(
                shape[-2:],
                rows.shape[-2:],
                layer.stride,
                self.padding,
                layer.dilation,
                layer.kernel_size,
                strict=True,
            )
        ]
        return functional.conv_transpose2d(
            rows,
            layer.weight,
            stride=layer.stride,
            padding=self.padding,
            output_padding=rest,
            groups=layer.groups,
            dilation=layer.dilation,
        )

    def offset(self, rows: Tensor) -> Tensor | float:
        return 0.0 if self.layer.bias is None else rows.sum(dim=(2, 3)) @ self.layer.bias

    def offset_size(self, z: Tensor) -> Tensor | float:
        return 0.0 if self.layer.bias is None else self.layer.bias.abs()[:, None, None]

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        layer = self.layer
        return functional.conv2d(
            x, weight, bias, layer.stride, self.padding, layer.dilation, layer.groups
        )


@dataclass(frozen=True)
class Diagonal(Affine):
    """z = scale x + shift, channel by channel: normalisation, batch norm, a factor.

    scale, shift: broadcast to (N, *in) without N.
    shift_size: the sizes of the terms that shift is the sum of, added.
    """

    scale: Tensor
    shift: Tensor
    shift_size: Tensor

    def apply(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift

    def spread(self, radius: Tensor) -> Tensor:
        return radius * self.scale.abs()

    def pull(self, rows: Tensor, shape: Size) -> Tensor:
        return rows * self.scale

    def offset(self, rows: Tensor) -> Tensor | float:
        return rows.flatten(1) @ self.shift.expand(rows.shape[1:]).reshape(-1).to(rows)

    def offset_size(self, z: Tensor) -> Tensor | float:
        return self.shift_size


@dataclass(frozen=True)
class Pool(Affine):
    """Mean pooling; ``pool`` (N, C, H, W) -> (N, C, H', W')."""

    pool: Callable[[Tensor], Tensor]

    def apply(self, x: Tensor) -> Tensor:
        return self.pool(x)

    def spread(self, radius: Tensor) -> Tensor:
        return self.pool(radius)  # weights of a mean are positive

    def pull(self, rows: Tensor, shape: Size) -> Tensor:
        # The transpose of a linear map is its vector-Jacobian product, at any point.
        # By autograd itself: the first torch.func.vjp of a process imports the compiler.
        learns = torch.is_grad_enabled() and rows.requires_grad
        with torch.enable_grad():
            at = rows.detach().new_zeros(()).expand(len(rows), *shape).requires_grad_()
            (pulled,) = torch.autograd.grad(self.pool(at), at, rows, create_graph=learns)
        return pulled


@dataclass(frozen=True)
class Flatten(Affine):
    """(N, ...) -> (N, features)."""

    def apply(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def spread(self, radius: Tensor) -> Tensor:
        return radius.flatten(1)

    def pull(self, rows: Tensor, shape: Size) -> Tensor:
        return rows.reshape(len(rows), *shape)
