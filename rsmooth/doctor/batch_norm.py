"""Under which normalisation and noise the running statistics of batch norm came about.

The mean and the variance of what enters the first layer of batch norm depend on the normalisation
of the images and on the noise that was added to them. So they tell both, without any label. How far
the statistics of images are from those in the file is the symmetric divergence of two Gaussians
(Jeffreys), averaged over the channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsmooth.doctor.cost import ReachedError, multiply_adds

Floats = NDArray[np.float64]
Setting = tuple[str, float, bool]  # normalisation, sigma, whether images are shifted

_Key = TypeVar("_Key")

RESAMPLES = 200
CLEAR = 0.99  # what is best in no more than the rest of the resamples is excluded
GOOD = 0.02  # the largest divergence that counts as a fit
SETTLED = 100  # batches, after which the first values (mean 0, variance 1) are forgotten
BUDGET = 60e9  # multiply-adds; the images are fewer where the first layers are heavy
_LEAST = 48
SHIFT = 4  # pixels, of the usual augmentation of 32x32 images


@dataclass(frozen=True)
class Fit:
    """How well settings explain the statistics in the file.

    best: the setting of the smallest divergence. divergence: of it. shares: by normalisation and by
    sigma, in what share of resamples of the images each is the best.
    """

    best: Setting
    divergence: float
    normalizations: dict[str, float]
    sigmas: dict[float, float]

    @property
    def good(self) -> bool:
        """Whether any setting explains the statistics."""
        return self.divergence < GOOD

    def possible_normalizations(self) -> list[str]:
        """Those that sampling error leaves, the best first; none where nothing fits."""
        return self._left(self.normalizations)

    def possible_sigmas(self) -> list[float]:
        """Those that sampling error leaves, the best first; none where nothing fits."""
        return self._left(self.sigmas)

    def _left(self, shares: dict[_Key, float]) -> list[_Key]:
        ordered = sorted(shares, key=lambda key: -shares[key])
        return [key for key in ordered if self.good and shares[key] > 1 - CLEAR]


def first_batch_norm(net: nn.Module) -> nn.Module | None:
    """The first layer of batch norm; None where its statistics are absent, or not settled."""
    for layer in net.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            mean, variance = layer.running_mean, layer.running_var
            if mean is None or variance is None:
                return None
            counter = layer.num_batches_tracked
            young = counter is not None and 0 < int(counter) < SETTLED
            touched = bool(mean.any()) or bool((variance != 1).any())
            return layer if touched and not young else None
    return None


def fit(
    net: nn.Module,
    layers: Mapping[str, nn.Module],
    x: Tensor,
    sigmas: Sequence[float],
    seed: int = 0,
) -> Fit | None:
    """Which normalisation and sigma the running statistics of a network fit best.

        fit(base[1], {"cifar10": Normalize(*constants)}, x, (0.0, 0.25))

    net: without normalisation, in eval mode. layers: the normalisations to try, by name.
    x: images (N, C, H, W) in [0, 1], like those of the training.

    Images are tried as they are, and shifted by up to 4 pixels with black edges, as most
    trainings do. None for a network without batch norm.
    """
    layer = first_batch_norm(net)
    if layer is None:
        return None
    cost_before = multiply_adds(net, next(iter(layers.values()))(x[:1]), until=layer)
    cost = 2 * len(layers) * len(sigmas) * cost_before
    x = x[: max(_LEAST, int(BUDGET / cost))]
    moments = _all_moments(net, layer, layers, x, sigmas, seed)
    weights = (
        np.random.default_rng(seed)
        .multinomial(len(x), [1 / len(x)] * len(x), RESAMPLES)
        .astype(np.float64)
    )
    mean, variance, eps = _statistics(layer)
    settings = list(moments)
    whole = np.array(
        [_divergence(*moments[s], np.ones((1, len(x))), mean, variance, eps)[0] for s in settings]
    )
    again = np.stack([_divergence(*moments[s], weights, mean, variance, eps) for s in settings])
    winners = [settings[at] for at in again.argmin(axis=0)]
    best = settings[int(whole.argmin())]
    return Fit(
        best,
        float(whole.min()),
        {name: sum(w[0] == name for w in winners) / RESAMPLES for name in layers},
        {sigma: sum(w[1] == sigma for w in winners) / RESAMPLES for sigma in sigmas},
    )


def shifted(x: Tensor, seed: int = 0) -> Tensor:
    """Images (N, C, H, W) moved by up to 4 pixels (of 32) each way, with black edges."""
    generator = torch.Generator().manual_seed(seed)
    height, width = x.shape[2:]
    most = min(SHIFT, height // 8)
    offsets = torch.randint(
        0, 2 * most + 1, (len(x), 2), generator=generator, device="cpu"
    ).tolist()
    wide = nn.functional.pad(x, (most,) * 4)
    return torch.stack(
        [one[:, a : a + height, b : b + width] for one, (a, b) in zip(wide, offsets, strict=True)]
    )


def _statistics(layer: nn.Module) -> tuple[Floats, Floats, float]:
    """Running mean and variance (C,), and what is added to the variance."""
    assert isinstance(layer, nn.modules.batchnorm._BatchNorm)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    mean, variance = layer.running_mean.double().numpy(), layer.running_var.double().numpy()
    return mean, variance, float(layer.eps)


def _all_moments(
    net: nn.Module,
    layer: nn.Module,
    layers: Mapping[str, nn.Module],
    x: Tensor,
    sigmas: Sequence[float],
    seed: int,
) -> dict[Setting, tuple[Floats, Floats]]:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), device="cpu")
    moments = {}
    for moved, images in ((False, x), (True, shifted(x, seed))):
        for sigma in sigmas:
            noisy = images + sigma * noise
            for name, normalize in layers.items():
                moments[name, sigma, moved] = _moments(net, layer, normalize(noisy))
    return moments


def _moments(net: nn.Module, layer: nn.Module, inputs: Tensor) -> tuple[Floats, Floats]:
    """Mean and mean square, of each image and channel (N, C), of what enters the layer."""
    found: list[tuple[Tensor, Tensor]] = []

    def catch(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        dims = tuple(range(2, given[0].ndim))
        each = given[0].double()
        found.append((each.mean(dims), each.square().mean(dims)) if dims else (each, each.square()))
        raise ReachedError  # what follows is not needed

    hook = layer.register_forward_pre_hook(catch)
    try:
        with torch.no_grad():
            for part in torch.split(inputs, 64):
                with suppress(ReachedError):
                    net(part)
    finally:
        hook.remove()
    means, squares = (torch.cat(each).numpy() for each in zip(*found, strict=True))
    return means, squares


def _divergence(
    means: Floats,
    squares: Floats,
    weights: Floats,
    mean: Floats,
    variance: Floats,
    eps: float,
) -> Floats:
    """The divergence of weighted images (R, N) from the statistics of the layer: (R,)."""
    total = weights.sum(axis=1, keepdims=True)
    m = weights @ means / total
    v = np.maximum(weights @ squares / total - m**2, 0.0) + eps
    w = variance + eps
    terms: Floats = (v / w + w / v - 2.0) / 4.0 + (m - mean) ** 2 * (1 / w + 1 / v) / 4.0
    return np.asarray(terms.mean(axis=1))
