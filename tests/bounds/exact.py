"""Networks in exact arithmetic, by fractions."""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor, nn

from rsmooth.models.normalize import Normalize


def exact_logits(net: nn.Sequential, x: Tensor) -> list[Fraction]:
    """The logits of one image (C, H, W) as the network's float weights define them.

    The square root of a batch norm must be rational: choose var + eps accordingly.
    """
    values = _fractions(x)
    for layer in net:
        values = _apply(layer, values)
    return list(values)


def _fractions(x: Tensor):
    return Fraction(x.item()) if x.ndim == 0 else [_fractions(part) for part in x]


def _apply(layer: nn.Module, values):
    if isinstance(layer, Normalize):
        mean, std = _fractions(layer.mean.flatten()), _fractions(layer.std.flatten())
        return [
            [[(v - mean[c % len(mean)]) / std[c % len(std)] for v in row] for row in channel]
            for c, channel in enumerate(values)
        ]
    if isinstance(layer, nn.Flatten):
        return [v for channel in values for row in channel for v in row]
    if isinstance(layer, nn.ReLU):
        return _each(values, lambda v: max(v, Fraction(0)))
    if isinstance(layer, nn.Linear):
        weight, bias = _fractions(layer.weight), _fractions(layer.bias)
        return [sum(map(Fraction.__mul__, w, values), b) for w, b in zip(weight, bias, strict=True)]
    if isinstance(layer, nn.BatchNorm2d):
        return _batch_norm(layer, values)
    assert isinstance(layer, nn.Conv2d)
    return _convolve(layer, values)


def _each(values, function):
    return [_each(v, function) for v in values] if isinstance(values, list) else function(values)


def _batch_norm(layer: nn.BatchNorm2d, values):
    assert layer.eps == 0.0
    out = []
    for c, channel in enumerate(values):
        root = Fraction(layer.running_var[c].item())
        deviation = Fraction(float(layer.running_var[c]) ** 0.5)
        assert deviation * deviation == root, "choose a variance that is a square"
        mean = Fraction(layer.running_mean[c].item())
        weight, bias = Fraction(layer.weight[c].item()), Fraction(layer.bias[c].item())
        out.append(_each(channel, lambda v, s=(weight, bias, mean, deviation): (
            s[0] * (v - s[2]) / s[3] + s[1]
        )))  # fmt: skip
    return out


def _convolve(layer: nn.Conv2d, values):
    """Stride 1, a kernel of 2x2, no padding."""
    assert (layer.kernel_size, layer.stride, layer.padding) == ((2, 2), (1, 1), (0, 0))
    weight, bias = _fractions(layer.weight), _fractions(layer.bias)
    height, width = len(values[0]) - 1, len(values[0][0]) - 1
    return [
        [
            [
                sum(
                    (
                        kernel[c][a][b] * values[c][i + a][j + b]
                        for c in range(len(values))
                        for a in (0, 1)
                        for b in (0, 1)
                    ),
                    bias[o],
                )
                for j in range(width)
            ]
            for i in range(height)
        ]
        for o, kernel in enumerate(weight)
    ]
