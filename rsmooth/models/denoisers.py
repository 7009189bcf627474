"""Denoisers: networks from noisy images to clean ones, for denoised smoothing."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from itertools import pairwise
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rsmooth.models.checkpoints import load_weights, safe_load
from rsmooth.plumbing.numbers import check_scale, check_sizes
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import DENOISERS

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError)
# A file of weights: an .npz of arrays, or what torch.save wrote; None for none.
Weights = str | PathLike[str] | None


def _convolution(inputs: int, outputs: int, *, bias: bool, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


@DENOISERS.register("dncnn")
class DnCNN(nn.Module):
    """Convolutions with batch norm that predict the noise: images (N, C, H, W) -> the same.

        denoiser = DENOISERS.create("dncnn", depth=17, width=64)

    depth: number of convolutions, >= 2. width: channels between them.

    x - net(x), Zhang et al. 2017 (arXiv:1608.03981), in the form of Salman et al. 2020
    (arXiv:2003.01908), whose parameter names it has. It starts as the identity.
    """

    def __init__(
        self, depth: int = 17, width: int = 64, in_channels: int = 3, weights: Weights = None
    ) -> None:
        super().__init__()
        check_sizes(depth=depth, width=width, in_channels=in_channels)
        if depth < 2:
            raise ValueError(f"expected depth >= 2, got {depth}: a first and a last convolution")
        layers: list[nn.Module] = [_convolution(in_channels, width, bias=True), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [
                _convolution(width, width, bias=False),
                # As published: the running statistics are almost those of the last batch.
                nn.BatchNorm2d(width, eps=1e-4, momentum=0.95),
                nn.ReLU(),
            ]
        last = _convolution(width, in_channels, bias=False)
        self.dncnn = nn.Sequential(*layers, last)
        for layer in self.dncnn:
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.zeros_(last.weight)
        _load(self, weights, depth=depth, width=width, in_channels=in_channels)

    def forward(self, x: Tensor) -> Tensor:
        noise: Tensor = self.dncnn(x)
        return x - noise


class _Unit(nn.Module):
    """Batch norm, ReLU and a convolution without bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs)
        self.conv = _convolution(inputs, outputs, bias=False, kernel=kernel)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.conv(self.bn(x).relu())
        return answer


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.relu_conv1, self.relu_conv2 = _Unit(width, width), _Unit(width, width)

    def forward(self, x: Tensor) -> Tensor:
        step: Tensor = self.relu_conv2(self.relu_conv1(x))
        return x + step


class _Memory(nn.Module):
    """Residual blocks, and a gate over their outputs and those of all memory blocks before."""

    def __init__(self, width: int, blocks: int, before: int) -> None:
        super().__init__()
        self.recursive_unit = nn.ModuleList(_Residual(width) for _ in range(blocks))
        self.gate_unit = _Unit((blocks + before) * width, width, kernel=1)

    def forward(self, long_term: list[Tensor]) -> Tensor:
        x, short_term = long_term[-1], list[Tensor]()
        for block in self.recursive_unit:
            x = block(x)
            short_term.append(x)
        gated: Tensor = self.gate_unit(torch.cat(short_term + long_term, dim=1))
        return gated


@DENOISERS.register("memnet")
class MemNet(nn.Module):
    """Memory blocks of residual blocks that predict the correction: (N, C, H, W) -> the same.

        denoiser = DENOISERS.create("memnet", width=64, memories=3, blocks=6)

    width: channels. memories: memory blocks. blocks: residual blocks in each.

    x + net(x), Tai et al. 2017 (arXiv:1708.02209), in the form of Salman et al. 2020
    (arXiv:2003.01908), whose parameter names it has.
    """

    def __init__(
        self,
        width: int = 64,
        memories: int = 3,
        blocks: int = 6,
        in_channels: int = 3,
        weights: Weights = None,
    ) -> None:
        super().__init__()
        check_sizes(width=width, memories=memories, blocks=blocks, in_channels=in_channels)
        self.feature_extractor = _Unit(in_channels, width)
        self.reconstructor = _Unit(width, in_channels)
        self.dense_memory = nn.ModuleList(
            _Memory(width, blocks, before + 1) for before in range(memories)
        )
        sizes = {"width": width, "memories": memories, "blocks": blocks}
        _load(self, weights, **sizes, in_channels=in_channels)

    def forward(self, x: Tensor) -> Tensor:
        long_term = [self.feature_extractor(x)]
        for memory in self.dense_memory:
            long_term.append(memory(long_term))
        correction: Tensor = self.reconstructor(long_term[-1])
        return x + correction


@DENOISERS.register("ffdnet")
class FFDNet(nn.Module):
    """A denoiser that is told the noise level, on 2x2 blocks as channels: (N, C, H, W) -> the same.

        denoiser = DENOISERS.create("ffdnet", sigma=0.25, weights="ffdnet_color.npz")

    sigma: the standard deviation of the noise in [0, 1] pixel units; the published weights know
        0 to 75/255. Height and width are even.

    Zhang et al. 2018 (arXiv:1710.04026), without batch norm.
    """

    def __init__(
        self,
        sigma: float,
        depth: int = 12,
        width: int = 96,
        in_channels: int = 3,
        weights: Weights = None,
    ) -> None:
        super().__init__()
        check_sizes(depth=depth, width=width, in_channels=in_channels)
        self.sigma = check_scale(sigma, "sigma")
        inner = [width] * (depth - 1)
        self.layers = _plain_stack([4 * in_channels + 1, *inner, 4 * in_channels])
        _load(self, weights, sigma=sigma, depth=depth, width=width, in_channels=in_channels)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] % 2 or x.shape[3] % 2:
            raise ValueError(
                f"expected images of even height and width, got {tuple(x.shape)}; pad them"
            )
        # The four pixels of a block in the order of its columns, which torch's own order is not.
        blocks = nn.functional.pixel_unshuffle(x.transpose(2, 3), 2).transpose(2, 3)
        level = torch.full_like(blocks[:, :1], self.sigma)
        clean: Tensor = self.layers(torch.cat([blocks, level], dim=1))
        return nn.functional.pixel_shuffle(clean.transpose(2, 3), 2).transpose(2, 3)

    def extra_repr(self) -> str:
        return f"sigma={self.sigma}"


@DENOISERS.register("dncnn-blind")
class BlindDnCNN(nn.Module):
    """The 20-layer DnCNN without batch norm, for noise of unknown level: (N, C, H, W) -> the same.

        denoiser = DENOISERS.create("dncnn-blind", weights="dncnn_color_blind_0to55.npz")

    depth: number of convolutions. width: channels between them.

    x - net(x), Zhang et al. 2017 (arXiv:1608.03981), with batch norm merged into the convolutions
    as its authors publish it.
    """

    def __init__(
        self, depth: int = 20, width: int = 64, in_channels: int = 3, weights: Weights = None
    ) -> None:
        super().__init__()
        check_sizes(depth=depth, width=width, in_channels=in_channels)
        self.layers = _plain_stack([in_channels, *[width] * (depth - 1), in_channels])
        _load(self, weights, depth=depth, width=width, in_channels=in_channels)

    def forward(self, x: Tensor) -> Tensor:
        noise: Tensor = self.layers(x)
        return x - noise


def _plain_stack(channels: list[int]) -> nn.Sequential:
    """Convolutions with bias, and ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [_convolution(inputs, outputs, bias=True), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _load(net: nn.Module, weights: Weights, **options: Any) -> None:
    """Note what rebuilds the net, and load the weights of a file, which it needs no more then."""
    net.plain_options = options  # type: ignore[assignment]
    if weights is None:
        return
    found = _read(weights)
    if "w0" in found:  # as converted from MatConvNet: w0, b0, w1, ...
        names = [name for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d)]
        renamed = {f"w{i}": f"{name}.weight" for i, name in enumerate(names)}
        renamed |= {f"b{i}": f"{name}.bias" for i, name in enumerate(names)}
        found = {renamed.get(key, key): value for key, value in found.items()}
    load_weights(net, found, source=str(weights))


def _read(path: str | PathLike[str]) -> Mapping[str, Tensor]:
    """Weights from an .npz file, or from a checkpoint, published or ours."""
    path = user_path(path)
    if str(path).endswith(".npz"):
        with open(path, "rb") as opened:
            try:
                with np.load(opened, allow_pickle=False) as stored:
                    return {name: torch.from_numpy(stored[name]) for name in stored.files}
            except _UNREADABLE as error:  # damage shows in half a dozen ways
                raise ValueError(
                    f"expected weights as arrays in {path}, got what cannot be read so ({error}); "
                    "download it again"
                ) from error
    content = safe_load(path)
    weights = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(weights, dict):
        raise ValueError(f"expected a state dict in {path}, got {type(weights).__name__}")
    return {str(name).removeprefix("module."): value for name, value in weights.items()}
