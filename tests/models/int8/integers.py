"""An Int8Network in NumPy's int64, from the numbers in its state dict alone: no code of ours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.models import Int8Network

Integers = NDArray[np.int64]


def answer(base: Int8Network, x: Tensor) -> NDArray[np.float64]:
    """The logits of images (N, C, H, W), by integers, shifts and one rounding per layer."""
    state = {name: tensor.numpy() for name, tensor in base.state_dict().items()}
    values: list[NDArray] = [x.numpy()]
    assert base.architecture is not None
    for at, spec in enumerate(base.architecture["options"]["layers"]):
        own = {
            name.split(".", 2)[2]: array
            for name, array in state.items()
            if name.startswith(f"layers.{at}.")
        }
        given = [values[place] for place in spec["inputs"]]
        values.append(_LAYERS[spec["kind"]](spec, own, *given))
    return values[-1]


def shifted(numbers: Integers, down: Integers, zero: int) -> Integers:
    """The integer nearest to numbers / 2^down + zero, of two the even one, within 0..255."""
    up, down = np.maximum(-down, 0), np.maximum(down, 0)
    numbers = (numbers << up) + (np.int64(zero) << down)
    whole = numbers >> down
    twice = 2 * (numbers - (whole << down)) - (np.int64(1) << down)
    whole += (twice > 0) | ((twice == 0) & (whole % 2 == 1) & (down > 0))
    return np.clip(whole, 0, 255)


def _quantize(spec, own, x):
    one = np.float32
    factor, offset = (
        (own[name].astype(one) * one(2.0**-12)).reshape(1, -1, 1, 1)
        for name in ("factor", "offset")
    )
    return np.clip(np.round(x * factor + offset), 0, 255).astype(np.int64)


def _convolution(spec, own, x, other=None):
    zero, (answer_step, answer_zero) = own["grids"][0][1], own["grids"][-1]
    weight, (rows, columns) = own["weight"].astype(np.int64), spec["padding"]
    padded = np.pad(x - int(zero), ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    weight = _spread(weight, *spec["dilation"])
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: spec["stride"][0], :: spec["stride"][1]]
    width, groups = weight.shape[1], spec["groups"]
    each = len(weight) // groups
    sums = np.concatenate(
        [
            np.einsum(
                "nchwij,ocij->nohw",
                windows[:, group * width : (group + 1) * width],
                weight[group * each : (group + 1) * each],
            )
            for group in range(groups)
        ],
        axis=1,
    )
    sums += own["bias"].astype(np.int64).reshape(1, -1, 1, 1)
    steps = own["exponent"].astype(np.int64).reshape(1, -1, 1, 1)
    if other is not None:
        step, middle = (int(number) for number in own["grids"][1])
        finest = np.minimum(steps, step)
        sums = (sums << (steps - finest)) + ((other - middle) << (step - finest))
        steps = finest
    assert np.abs(sums).max() < 2**24
    sums = np.maximum(sums, 0) if spec["relu"] else sums
    return shifted(sums, int(answer_step) - steps, int(answer_zero))


def _spread(weight, down, right):
    """A kernel with the zeros that dilation puts between its weights."""
    rows, columns = weight.shape[2:]
    size = (1 + down * (rows - 1), 1 + right * (columns - 1))
    found = np.zeros((*weight.shape[:2], *size), dtype=np.int64)
    found[:, :, ::down, ::right] = weight
    return found


def _linear(spec, own, x):
    sums = (x - int(own["grids"][0][1])) @ own["weight"].astype(np.int64).T + own["bias"]
    assert np.abs(sums).max() < 2**53
    sums = np.maximum(sums, 0) if spec["relu"] else sums
    if spec["last"]:
        return np.ldexp(sums.astype(np.float64), int(own["exponent"]))
    step, zero = (int(number) for number in own["grids"][-1])
    return shifted(sums, np.int64(step - int(own["exponent"])), zero)


def _add(spec, own, x, y):
    grids = own["grids"].astype(np.int64)
    finest = grids[:, 0].min()
    total = sum(
        (each - zero) << (step - finest) for each, (step, zero) in zip((x, y), grids, strict=False)
    )
    total = np.maximum(total, 0) if spec["relu"] else total
    return shifted(total, grids[-1][0] - finest, int(grids[-1][1]))


def _windows(spec, x):
    (rows, columns), (down, right) = spec["kernel_size"], spec["stride"]
    found = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), axis=(2, 3))
    return found[:, :, ::down, ::right]


def _maximum(spec, own, x):
    if spec["kernel_size"] is None:
        return x.max(axis=(2, 3), keepdims=True)
    rows, columns = spec["padding"]
    padded = np.pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    return _windows(spec, padded).max(axis=(4, 5))


_LAYERS = {
    "quantize": _quantize,
    "convolution": _convolution,
    "linear": _linear,
    "add": _add,
    "relu": lambda spec, own, x: np.maximum(x, own["grids"][0][1]),
    "maximum": _maximum,
    "total": lambda spec, own, x: _windows(spec, x).sum(axis=(4, 5)),
    "flatten": lambda spec, own, x: x.reshape(len(x), -1),
}
