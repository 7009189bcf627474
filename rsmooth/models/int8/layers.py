"""The layers of an integer network: each as exact arithmetic, and as one call of a kernel.

A layer takes and gives integers that stand for numbers on a ``Grid``. Its sums stay below 2^24, so
that float32, in which kernels scale and round them, has each of them exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsmooth.models.int8.grids import EXACT, FINEST, LEVELS, Grid, rounded

Kernel = Callable[..., Tensor]
# The factor and the offset of the first layer are integers of this unit.
FRACTION = 12
BYTES = torch.uint8


class Layer(nn.Module):
    """One layer. ``exact`` is the definition, in float64; ``kernel()`` computes the same quickly.

    grids: of the inputs, then of the answer: int32 (inputs + 1, 2), exponents and zero points.

    All tensors are integers, so that no conversion of a module to another dtype changes them.
    """

    grids: Tensor

    def __init__(self, inputs: int = 1) -> None:
        super().__init__()
        self.register_buffer("grids", torch.zeros(inputs + 1, 2, dtype=torch.int32))

    def grid(self, at: int) -> Grid:
        """The grid of an input, or with -1 that of the answer."""
        return Grid(*self.grids[at].tolist())

    def exact(self, *inputs: Tensor) -> Tensor:
        """The answer as integers in float64, for such inputs."""
        raise NotImplementedError

    def kernel(self) -> Kernel:
        """A function from inputs, as other kernels give them, to the answer."""
        raise NotImplementedError


class Quantize(Layer):
    """Images in [0, 1], plus noise, to the first grid: q = x factor + offset, rounded and cut.

    The factor and the offset of a channel hold its normalisation. What noise moves beyond the grid
    stays at its end: that is a part of the classifier, and certified with it.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(inputs=0)
        for name in ("factor", "offset"):
            self.register_buffer(name, torch.zeros(channels, dtype=torch.int32))

    def exact(self, *inputs: Tensor) -> Tensor:
        return self._rounded(inputs[0]).double()

    def kernel(self) -> Kernel:
        return lambda x: self._rounded(x).to(BYTES, memory_format=torch.channels_last)

    def _rounded(self, x: Tensor) -> Tensor:
        """Three rounded operations on each pixel, in an order of their own: equal everywhere."""
        factor, offset = (
            each.float().mul(2.0**-FRACTION).view(1, -1, 1, 1)
            for each in (self.factor, self.offset)
        )
        return x.float().mul(factor).add_(offset).round_().clamp_(0, LEVELS)


class Convolution(Layer):
    """A convolution with batch norm in it, then perhaps a sum with a shortcut, then perhaps ReLU.

    weight: int8 (O, I, kh, kw). bias: int32 (O,). exponent: int32 (O,), of the steps of the sums
        of each channel, in which the bias is too.
    """

    weight: Tensor
    bias: Tensor
    exponent: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
        *,
        shortcut: bool,
        relu: bool,
    ) -> None:
        super().__init__(inputs=2 if shortcut else 1)
        self.stride, self.padding, self.dilation = list(stride), list(padding), list(dilation)
        self.groups, self.shortcut, self.relu = groups, shortcut, relu
        self.register_buffer("weight", torch.zeros(*shape, dtype=torch.int8))
        for name in ("bias", "exponent"):
            self.register_buffer(name, torch.zeros(shape[0], dtype=torch.int32))

    def exact(self, *inputs: Tensor) -> Tensor:
        sums = functional.conv2d(
            inputs[0] - self.grid(0).zero,
            self.weight.double(),
            self.bias.double(),
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )
        answer = self.grid(-1)
        steps = sums * torch.exp2(self.exponent.double() - answer.exponent).view(1, -1, 1, 1)
        if self.shortcut:
            other = self.grid(1)
            steps += (inputs[1] - other.zero) * 2.0 ** (other.exponent - answer.exponent)
        return rounded(steps.relu_() if self.relu else steps, answer.zero)

    def kernel(self) -> Kernel:
        operations: Any = torch.ops.onednn
        source, answer = self.grid(0), self.grid(-1)
        scale, steps = 2.0**source.exponent, torch.exp2(self.exponent.double())
        scales = (steps / scale).float()
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        weight = operations.qconv_prepack(
            self.weight.contiguous(), scales, scale, source.zero, *geometry, None
        )
        zeros, bias = torch.zeros(len(scales), dtype=torch.int64), (self.bias * steps).float()
        front = (scale, source.zero, weight, scales, zeros)
        back = (*geometry, 2.0**answer.exponent, answer.zero, BYTES)
        after = "relu" if self.relu else "none"
        if not self.shortcut:
            plain = operation("qconv2d_pointwise", "qconv_pointwise").default
            return lambda x: plain(x, *front, bias, *back, after, [], "")
        fused = operation("qconv2d_pointwise").binary
        other = (2.0 ** self.grid(1).exponent, self.grid(1).zero)
        # The sum is written over the shortcut, which the network hands over for that.
        return lambda x, y: fused(x, *front, y, bias, *back, *other, "sum", 1.0, after, [], "")

    def extra_repr(self) -> str:
        return (
            f"{list(self.weight.shape)}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, groups={self.groups}, shortcut={self.shortcut}, "
            f"relu={self.relu}"
        )


class Linear(Layer):
    """A fully connected layer on integers of any size, in float64, which has its sums exactly.

    weight: int16 (O, I). bias: int64 (O,). exponent: int32 (), of the steps of all sums. The last
    one gives logits, as numbers; others give integers on a grid, after ReLU or not.
    """

    weight: Tensor
    bias: Tensor
    exponent: Tensor

    def __init__(self, shape: Sequence[int], *, relu: bool, last: bool) -> None:
        super().__init__()
        self.relu, self.last = relu, last
        self.register_buffer("weight", torch.zeros(*shape, dtype=torch.int16))
        self.register_buffer("bias", torch.zeros(shape[0], dtype=torch.int64))
        self.register_buffer("exponent", torch.zeros((), dtype=torch.int32))

    def exact(self, *inputs: Tensor) -> Tensor:
        return self._function()(inputs[0])

    def kernel(self) -> Kernel:
        function, last = self._function(), self.last
        return lambda x: function(x.double()) if last else function(x.double()).to(BYTES)

    def _function(self) -> Kernel:
        weight, zero, answer = self.weight.double().t(), self.grid(0).zero, self.grid(-1)
        bias = self.bias.double() - zero * weight.sum(dim=0)
        step = 2.0 ** (int(self.exponent) - (0 if self.last else answer.exponent))

        def function(x: Tensor) -> Tensor:
            numbers = torch.addmm(bias, x, weight) * step
            numbers = numbers.relu_() if self.relu else numbers
            return numbers if self.last else rounded(numbers, answer.zero)

        return function

    def extra_repr(self) -> str:
        return f"{list(self.weight.shape)}, relu={self.relu}, last={self.last}"


class Add(Layer):
    """The sum of two inputs, then perhaps ReLU."""

    def __init__(self, *, relu: bool) -> None:
        super().__init__(inputs=2)
        self.relu = relu

    def exact(self, *inputs: Tensor) -> Tensor:
        return self._sum(*inputs)

    def kernel(self) -> Kernel:
        # Two terms in steps of 2^-15 or more are exact in float32 as far as the grid goes.
        finest = min(self.grid(0).exponent, self.grid(1).exponent)
        dtype = torch.float32 if finest >= self.grid(-1).exponent - FINEST else torch.float64
        return lambda x, y: self._sum(x.to(dtype), y.to(dtype)).to(BYTES)

    def _sum(self, first: Tensor, second: Tensor) -> Tensor:
        answer = self.grid(-1)
        steps = [
            (each - grid.zero) * 2.0 ** (grid.exponent - answer.exponent)
            for each, grid in zip((first, second), (self.grid(0), self.grid(1)), strict=True)
        ]
        total = steps[0].add_(steps[1])
        return rounded(total.relu_() if self.relu else total, answer.zero)

    def extra_repr(self) -> str:
        return f"relu={self.relu}"


class Relu(Layer):
    """ReLU by itself, on one grid: max(q, zero)."""

    def exact(self, *inputs: Tensor) -> Tensor:
        return inputs[0].clamp(min=self.grid(0).zero)

    def kernel(self) -> Kernel:
        zero = self.grid(0).zero
        return lambda x: x.clamp(min=zero)


class Maximum(Layer):
    """Max pooling, on one grid.

    kernel_size, stride, padding: as of nn.MaxPool2d. kernel_size None is the whole image.
    """

    def __init__(
        self, kernel_size: Sequence[int] | None, stride: Sequence[int], padding: Sequence[int]
    ) -> None:
        super().__init__()
        self.kernel_size = None if kernel_size is None else list(kernel_size)
        self.stride, self.padding = list(stride), list(padding)

    def exact(self, *inputs: Tensor) -> Tensor:
        return self._pooled(inputs[0])

    def kernel(self) -> Kernel:
        return self._pooled

    def _pooled(self, x: Tensor) -> Tensor:
        if self.kernel_size is None:
            return x.amax(dim=(2, 3), keepdim=True)
        # torch's own takes no images of bytes with more than 255 values. 0 is the least integer.
        rows, columns = self.padding
        padded = functional.pad(x, (columns, columns, rows, rows)) if rows or columns else x
        counts = [
            1 + (size - kernel) // stride
            for size, kernel, stride in zip(
                padded.shape[2:], self.kernel_size, self.stride, strict=True
            )
        ]
        windows = [
            padded[:, :, place[0] :: self.stride[0], place[1] :: self.stride[1]][
                :, :, : counts[0], : counts[1]
            ]
            for place in product(*map(range, self.kernel_size))
        ]
        return reduce(torch.maximum, windows).contiguous(memory_format=torch.channels_last)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class Total(Layer):
    """Mean pooling without the division, which the linear layer after it makes: sums of windows.

    kernel_size, stride: as of nn.AvgPool2d.

    The sums are integers, which stand for numbers with the zero point of the window.
    """

    def __init__(self, kernel_size: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.kernel_size, self.stride = list(kernel_size), list(stride)

    def exact(self, *inputs: Tensor) -> Tensor:
        return functional.avg_pool2d(inputs[0], self.kernel_size, self.stride, divisor_override=1)

    def kernel(self) -> Kernel:
        # A window of more than 256 x 256 pixels may sum up to more than float32 has exactly.
        dtype = torch.float32 if LEVELS * prod(self.kernel_size) < EXACT else torch.float64
        return lambda x: self.exact(x.to(dtype))

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class Flatten(Layer):
    """Each image as one row, in the order of channels, rows, columns."""

    def exact(self, *inputs: Tensor) -> Tensor:
        return inputs[0].flatten(1)

    def kernel(self) -> Kernel:
        return self.exact


KINDS: dict[str, type[Layer]] = {
    "quantize": Quantize,
    "convolution": Convolution,
    "linear": Linear,
    "add": Add,
    "relu": Relu,
    "maximum": Maximum,
    "total": Total,
    "flatten": Flatten,
}


def operation(*names: str) -> Any:
    """The first of these operations that this release of torch has."""
    for name in names:
        if hasattr(torch.ops.onednn, name):
            return getattr(torch.ops.onednn, name)
    raise AttributeError(f"no operation onednn::{names[0]}")
