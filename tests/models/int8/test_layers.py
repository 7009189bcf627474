"""Each kernel computes what its layer defines, to the bit, also at the ends of what it may get."""

from __future__ import annotations

import pytest
import torch

from rsmooth.models.int8.layers import Add, Convolution, Layer, Linear, Maximum, Quantize, Total
from tests.models.int8.nets import needs_int8

CASES = [
    # O, I, kernel, stride, padding, groups, zero point of the input
    (16, 3, 3, 1, 1, 1, 128),
    (16, 16, 3, 2, 1, 1, 0),
    (32, 16, 1, 2, 0, 1, 7),
    (24, 24, 1, 1, 0, 24, 97),
    (24, 3, 2, 1, 0, 1, 100),
]


def as_bytes(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.uint8).contiguous(memory_format=torch.channels_last)


@needs_int8
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize(("relu", "zero"), [(True, 0), (False, 128), (False, 77)])
def test_convolutions_are_exact(
    case: tuple[int, ...], shortcut: bool, relu: bool, zero: int
) -> None:
    width, before, size, stride, padding, groups, middle = case
    torch.manual_seed(0)
    layer = Convolution(
        (width, before // groups, size, size),
        (stride, stride),
        (padding, padding),
        (1, 1),
        groups,
        shortcut=shortcut,
        relu=relu,
    )
    layer.weight.copy_(torch.randint(-127, 128, layer.weight.shape))
    layer.bias.copy_(torch.randint(-(2**15), 2**15, (width,)))
    layer.exponent.copy_(torch.randint(-11, -8, (width,)))
    step = -3 if before == groups else 0
    layer.grids.copy_(torch.tensor([[-4, middle], *[[step - 1, 9]] * shortcut, [step, zero]]))
    for count in (1, 7, 64):
        x = torch.randint(0, 256, (count, before, 9, 9)).double()
        x[: count // 7] = 255  # where a sum of two products passes 16 bits
        given = [x]
        if shortcut:
            plain = torch.nn.functional.conv2d(
                x, layer.weight.double(), None, stride, padding, 1, groups
            )
            given.append(torch.randint(0, 256, plain.shape).double())
        found = layer.kernel()(*map(as_bytes, given))
        assert torch.equal(found.double(), layer.exact(*given))
        assert found.unique().numel() > 40


@pytest.mark.parametrize(
    ("layer", "grids", "shape"),
    [
        (Add(relu=True), [[-3, 0], [-5, 100], [-2, 0]], (4, 5, 6, 6)),
        (Add(relu=False), [[-30, 3], [-5, 100], [-2, 128]], (4, 5, 6, 6)),
        (Maximum((3, 2), (2, 1), (1, 0)), [[0, 5], [0, 5]], (4, 5, 6, 7)),
        (Maximum(None, (1, 1), (0, 0)), [[0, 5], [0, 5]], (4, 5, 6, 6)),
        (Total((2, 3), (1, 2)), [[0, 5], [0, 30]], (4, 5, 6, 7)),
        (Linear((11, 13), relu=False, last=True), [[0, 5], [0, 0]], (4, 13)),
        (Linear((11, 13), relu=True, last=False), [[0, 5], [24, 0]], (4, 13)),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, Layer) else "",
)
def test_the_other_kernels_are_exact(
    layer: Layer, grids: list[list[int]], shape: tuple[int]
) -> None:
    torch.manual_seed(0)
    layer.grids.copy_(torch.tensor(grids))
    if isinstance(layer, Linear):
        layer.weight.copy_(torch.randint(-(2**15), 2**15, layer.weight.shape))
        layer.bias.copy_(torch.randint(-(2**30), 2**30, layer.bias.shape))
    given = [torch.randint(0, 256, shape) for _ in grids[1:]]
    found = layer.kernel()(*(each.to(torch.uint8) for each in given))
    assert torch.equal(found.double(), layer.exact(*(each.double() for each in given)))
    assert found.unique().numel() > 3


def test_max_pooling_is_that_of_torch() -> None:
    x = torch.randint(0, 256, (3, 4, 9, 8), generator=torch.Generator().manual_seed(0)).double()
    for kernel, stride, padding in (
        ((3, 3), (2, 2), (1, 1)),
        ((2, 2), (2, 2), (0, 0)),
        ((2, 3), (3, 1), (0, 1)),
    ):
        wanted = torch.nn.functional.max_pool2d(x, kernel, stride, padding)
        assert torch.equal(Maximum(kernel, stride, padding).exact(x), wanted)


def test_pixels_beyond_the_grid_stay_at_its_ends_and_integers_keep_their_dtype() -> None:
    layer = Quantize(2)
    layer.factor.copy_(torch.tensor([100 * 4096, 50 * 4096]))
    layer.offset.copy_(torch.tensor([128 * 4096, 0]))
    x = torch.tensor([-9.0, 0.0, 0.5, 9.0]).view(1, 1, 2, 2).expand(1, 2, 2, 2)
    assert layer.exact(x).flatten().tolist() == [0, 128, 178, 255, 0, 0, 25, 255]
    assert torch.equal(layer.half().exact(x), layer.exact(x))
    assert layer.factor.dtype == torch.int32


def test_windows_of_more_pixels_than_float32_can_count_are_summed_exactly() -> None:
    x = torch.full((1, 1, 257, 257), 255.0)
    x[..., 0, 0] = 254
    layer = Total((257, 257), (1, 1))
    assert int(layer.kernel()(x.to(torch.uint8))) == 255 * 257**2 - 1
