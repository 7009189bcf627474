"""A network of integers: one function of the image, to the bit, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth.models.int8.layers import KINDS, Convolution, Layer, Linear, operation
from rsmooth.plumbing.machine import int8_instructions
from rsmooth.registry import MODELS

DTYPE = "int8"  # what a record calls it


@MODELS.register("int8")
class Int8Network(nn.Module):
    """A network of 8-bit integers: images (N, C, H, W) in [0, 1] -> logits (N, K) float64.

        g8 = quantize(g, images, seed=0)      # a SmoothedClassifier of one
        g8.base(x)

    layers: kind, numbers of the inputs and options of each layer, in the order of computation.
        ``quantize`` makes them; number 0 is the image.
    shape: (C, H, W) of the images that it takes.
    made: what it was made from and how, for the record.

    Its sums are exact, so the answer to an image does not depend on the other images of a pass, on
    the order of a sum or on the machine. ``exact`` defines the answer; the kernels are compared
    with it whenever a pass has a new size. It has no gradients. ValueError for images of another
    shape, for one that asks for a gradient, and on a machine without 8-bit integer instructions.
    RuntimeError where the kernels sum in another way.
    """

    architecture: dict[str, Any] | None = None
    origin: dict[str, str] | None = None

    def __init__(
        self,
        layers: Sequence[Mapping[str, Any]],
        shape: Sequence[int],
        made: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.image_shape, self.made = tuple(shape), dict(made or {})
        self.inputs = [[int(at) for at in each["inputs"]] for each in layers]
        self.layers = nn.ModuleList(_layer(dict(each)) for each in layers)
        self._ready: tuple[list[tuple[Tensor, int]], list[Callable[..., Tensor]]] | None = None
        self._compared: set[torch.Size] = set()
        self._last = {at: user for user, places in enumerate(self.inputs) for at in places}
        # Kernels write over the shortcut. These still need it, or read it as the input too.
        self._copying = {
            user
            for user, layer in enumerate(self.layers)
            if isinstance(layer, Convolution)
            and layer.shortcut
            and (self._last[self.inputs[user][1]] > user or len(set(self.inputs[user])) == 1)
        }

    @torch.inference_mode(False)
    @torch.no_grad()
    def exact(self, x: Tensor) -> Tensor:
        """The definition of the answer, in float64 operations that round nothing: slow, anywhere.

        torch.equal(base.exact(x), base(x))
        """
        values = [self._checked(x)]
        for layer, inputs in zip(self.layers, self.inputs, strict=True):
            assert isinstance(layer, Layer)
            values.append(layer.exact(*(values[at] for at in inputs)))
        return values[-1]

    def forward(self, x: Tensor) -> Tensor:
        x = self._checked(x)
        if torch.is_grad_enabled() and x.requires_grad:
            raise ValueError(
                "expected images that ask for no gradient, got some for an Int8Network, which has "
                "none; attack or train the network that it was made from"
            )
        check_machine()
        with torch.inference_mode(False), torch.no_grad():
            x = x.detach().float()
            logits = self._passed(x)
            if x.shape not in self._compared and len(x):
                self._compare(x, logits)
            # Integers know no NaN: an image with one has no logits.
            return logits + 0.0 * x.sum(dim=(1, 2, 3)).double()[:, None]

    def _passed(self, x: Tensor) -> Tensor:
        values: list[Tensor | None] = [x]
        for at, (kernel, inputs) in enumerate(zip(self._kernels(), self.inputs, strict=True)):
            given = [values[place] for place in inputs]
            if at in self._copying:
                given[1] = _present(given[1]).clone()
            values.append(kernel(*given))
            for place in inputs:
                if self._last[place] == at:
                    values[place] = None
        return _present(values[-1])

    def _kernels(self) -> list[Callable[..., Tensor]]:
        """The kernels of the present integers: made anew where one has changed."""
        tensors = [*self.buffers()]
        if self._ready is None or not _same(self._ready[0], tensors):
            kernels = [each.kernel() for each in self.layers if isinstance(each, Layer)]
            self._ready = ([(each, _version(each)) for each in tensors], kernels)
            self._compared = set()
        return self._ready[1]

    def _compare(self, x: Tensor, logits: Tensor) -> None:
        """RuntimeError unless the kernels have computed the first and the last image exactly."""
        few = x[[0, -1]].nan_to_num()
        if not torch.equal(self._passed(x.nan_to_num())[[0, -1]], self.exact(few)):
            raise RuntimeError(
                "expected exact sums of 8-bit integers from torch's oneDNN kernels, got others for "
                f"{len(x)} images (torch {torch.__version__}); use another release of torch or "
                "another machine, or certify the network that this one was made from"
            )
        self._compared.add(x.shape)

    def _checked(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or tuple(x.shape[1:]) != self.image_shape:
            found = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(
                f"expected images (N, {', '.join(map(str, self.image_shape))}), as an Int8Network "
                f"was made for, got {found}; quantize the network anew for others"
            )
        if x.device.type != "cpu":
            raise ValueError(
                f"expected images on a CPU for an Int8Network, got some on {x.device}; move model "
                "and images to the CPU"
            )
        return x

    def __getstate__(self) -> dict[str, Any]:
        """What copies and other processes get: no kernels, which belong to this one."""
        return {**self.__dict__, "_ready": None, "_compared": set()}

    def extra_repr(self) -> str:
        return f"shape={self.image_shape}, inputs={self.inputs}"


def check_machine() -> str:
    """The instructions for 8-bit integers that this machine has, such as "AVX512_VNNI".

    ValueError where it has none, or where its kernels are told not to use them: without, they sum
    pairs of products in 16 bits and cut them off there.
    """
    found = int8_instructions()
    if found is None:
        raise ValueError(
            "expected a CPU with 8-bit integer instructions (AVX512_VNNI or AMX) for an "
            "Int8Network, got one without; use another machine, or the network that this one was "
            "made from"
        )
    problem = _trial()
    if problem:
        raise ValueError(f"expected kernels that use {found} for an Int8Network, got {problem}")
    return found


@lru_cache(maxsize=1)
def _trial() -> str:
    """What is wrong with a convolution of the largest integers, in words; nothing where it works.

    It is tried, since neither the version of torch nor the CPU alone says which kernels run.
    """
    layer = Convolution((64, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1, shortcut=False, relu=False)
    # Any two products that are added have up to 17 bits.
    layer.weight.fill_(127)
    layer.weight[::2] = -127
    layer.grids[1, 0], layer.grids[1, 1] = 17, 128
    x = torch.full((2, 32, 8, 8), 255.0)
    x[1, ::3] = 77
    x = x.contiguous(memory_format=torch.channels_last)
    try:
        # That of sums too must be there.
        assert callable(operation("qconv2d_pointwise").binary)
        found = layer.kernel()(x.to(torch.uint8))
    except (AttributeError, RuntimeError, TypeError) as error:
        return (
            f"torch {torch.__version__} without the operation onednn::qconv2d_pointwise that they "
            f"are called by ({str(error).splitlines()[0]}); install another release of torch"
        )
    if torch.equal(found.double(), layer.exact(x.double())):
        return ""
    return "sums that were cut off at 16 bits; unset ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY"


def is_int8(net: nn.Module) -> bool:
    """Whether a network is an Int8Network; ValueError where only a part of it is one.

    is_int8(g.base)
    """
    if isinstance(net, Int8Network):
        return True
    if any(isinstance(part, Int8Network) for part in net.modules()):
        raise ValueError(
            f"expected an Int8Network by itself, got one within {type(net).__name__}, whose other "
            "parts have no recorded arithmetic; quantize the whole"
        )
    return False


def _layer(spec: dict[str, Any]) -> Layer:
    kind = spec.pop("kind", None)
    spec.pop("inputs")
    if kind not in KINDS:
        raise ValueError(
            f"expected a layer of kind {', '.join(KINDS)}, got {kind!r}; make the network with "
            "rsmooth.models.quantize"
        )
    return KINDS[kind](**spec)


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _same(known: list[tuple[Tensor, int]], tensors: list[Tensor]) -> bool:
    """Whether these are the known tensors, unchanged; of inference mode nobody can say."""
    return len(known) == len(tensors) and all(
        old is new and version == _version(new) >= 0
        for (old, version), new in zip(known, tensors, strict=True)
    )


def operations_of(net: Int8Network) -> float:
    """Multiplications and additions per image, of convolutions and linear layers."""
    values, total = [torch.zeros(1, *net.image_shape)], 0.0
    for layer, inputs in zip(net.layers, net.inputs, strict=True):
        assert isinstance(layer, Layer)
        values.append(layer.exact(*(values[at].double() for at in inputs)))
        if isinstance(layer, (Convolution, Linear)):
            outputs = values[-1].numel() / len(layer.weight)
            total += 2.0 * outputs * layer.weight.numel()
    return total
