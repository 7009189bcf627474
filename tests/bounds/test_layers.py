"""Each layer's map, its |W| and its transpose belong to one matrix."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from rsmooth.bounds.layers import Convolution, Diagonal, Flatten, Linear, Pool
from rsmooth.bounds.modes import Factor

SHAPE = torch.Size((4, 9, 8))


def convolution(**options):
    torch.manual_seed(1)
    layer = nn.Conv2d(4, 6, dtype=torch.float64, **options)
    return Convolution(layer, layer.padding)


# Sizes 9x8 with stride 2: one of the two leaves a rest, whatever the kernel.
LAYERS = {
    "conv-3": convolution(kernel_size=3, padding=1),
    "conv-3-stride": convolution(kernel_size=3, stride=2, padding=1),
    "conv-4-stride": convolution(kernel_size=4, stride=2, padding=1),
    "conv-1-stride-3": convolution(kernel_size=1, stride=3, bias=False),
    "conv-uneven": convolution(kernel_size=(3, 2), stride=(2, 3), padding=(0, 1), dilation=(2, 1)),
    "conv-groups": convolution(kernel_size=3, stride=2, groups=2),
    "linear": Linear(nn.Linear(8, 5, dtype=torch.float64)),
    "linear-no-bias": Linear(nn.Linear(8, 5, bias=False, dtype=torch.float64)),
    "diagonal": Diagonal(
        torch.randn(4, 1, 1, dtype=torch.float64),
        torch.randn(4, 1, 1, dtype=torch.float64),
        torch.full((4, 1, 1), 9.0, dtype=torch.float64),
    ),
    "mean": Pool(nn.AvgPool2d(2).forward),
    "mean-overlapping": Pool(nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True).forward),
    "mean-adaptive": Pool(nn.AdaptiveAvgPool2d((2, 3)).forward),
    "flatten": Flatten(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_is_one_matrix(name):
    op = LAYERS[name]
    torch.manual_seed(0)
    x = torch.randn(3, *SHAPE, dtype=torch.float64)
    z = op.apply(x)
    bias = op.apply(torch.zeros_like(x[:1]))
    eye = torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *SHAPE)
    matrix = (op.apply(eye) - bias).flatten(1).T  # (out, in)
    rows = torch.randn_like(z)
    pulled = op.pull(rows, SHAPE)
    assert pulled.shape == x.shape
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(pulled.flatten(1), rows.flatten(1) @ matrix, **close)
    radius = x.abs()
    torch.testing.assert_close(
        op.spread(radius).flatten(1), radius.flatten(1) @ matrix.abs().T, **close
    )
    expected = rows.flatten(1) @ bias.flatten()
    offset = torch.as_tensor(op.offset(rows), dtype=x.dtype)
    torch.testing.assert_close(offset.expand(3), expected, **close)
    assert (torch.as_tensor(op.offset_size(z)) >= bias.detach().abs() - 1e-12).all()


@pytest.mark.parametrize("name", LAYERS)
def test_pulled_rows_are_learned_from_where_gradients_are_wanted(name):
    op, x = LAYERS[name], torch.zeros(2, *SHAPE, dtype=torch.float64)
    rows = torch.randn_like(op.apply(x)).requires_grad_()
    back = torch.randn_like(x)
    (gradient,) = torch.autograd.grad(op.pull(rows, SHAPE), rows, back)
    expected = op.apply(back) - op.apply(x)  # the transpose of the transpose
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        assert op.pull(rows, SHAPE).grad_fn is None


def test_the_transpose_has_a_gradient_for_the_weights():
    op = LAYERS["conv-3-stride"]
    op.layer.zero_grad()
    x = torch.randn(2, *SHAPE, dtype=torch.float64)
    rows = torch.randn_like(op.apply(x)).detach()
    (op.pull(rows, SHAPE) * x).sum().backward()
    found, op.layer.weight.grad = op.layer.weight.grad, None
    (functional.conv2d(x, op.layer.weight, None, 2, 1) * rows).sum().backward()
    torch.testing.assert_close(found, op.layer.weight.grad)


def test_a_factor_follows_its_input_to_another_device():
    """Its constants are on the CPU; the meta device refuses others as a GPU does."""
    op = Factor(3.0, divide=True).fixed("mean")
    z = torch.zeros(2, 4, dtype=torch.float64, device="meta")
    for found in (op.apply(z), op.spread(z), op.pull(z, z.shape[1:]), op.offset(z)):
        assert (found.device.type, found.dtype) == ("meta", torch.float64)
