"""Margins equal those of independent implementations, their gradients and batch statistics too."""

import copy
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from rsmooth.bounds import (
    METHODS,
    BoundedPass,
    margin_bounds,
    pixel_box,
    trace_network,
    worst_case_logits,
)
from rsmooth.bounds.layers import Convolution
from rsmooth.bounds.modes import BatchNorm
from rsmooth.models.normalize import Normalize
from tests.bounds.oracles import (
    ARRAYS,
    EPSILONS,
    MARGINS,
    NETS,
    assert_equal,
    expected,
    images,
    network,
)


def every_epsilon(x, y):
    """The images and labels of every epsilon, one after the other, and their epsilons."""
    epsilons = torch.tensor(EPSILONS, dtype=x.dtype).repeat_interleave(len(x)).view(-1, 1, 1, 1)
    count = len(EPSILONS)
    return {"x": x.repeat(count, 1, 1, 1), "y": y.repeat(count), "epsilon": epsilons}


@cache
@torch.no_grad()
def margins(name, key, dtype):
    """Of every epsilon, computed once for all tests."""
    x, y = images(name, dtype)
    return margin_bounds(network(name, dtype), **every_epsilon(x, y), **MARGINS[key])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("key", MARGINS)
@pytest.mark.parametrize("name", NETS)
def test_margins_equal_independent_ones(name, key, dtype):
    found = margins(name, key, dtype)
    assert_equal(found.unflatten(0, (len(EPSILONS), -1)), f"{name}/{key}", dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("method", ["ibp", "crown-ibp", "fast-lin"])
@pytest.mark.parametrize("name", NETS)
def test_losses_and_gradients_equal_independent_ones(name, method, dtype):
    net, (x, y) = network(name, dtype), images(name, dtype)
    short = method.replace("crown-ibp", "crown_ibp").replace("-", "")
    losses = cross_entropy(
        worst_case_logits(margin_bounds(net, x, y, epsilon=EPSILONS[2], method=method)),
        y,
        reduction="none",
    )
    known = expected(f"{name}/{short}_worst_ce")[2]
    torch.testing.assert_close(losses.detach().double(), known, rtol=1e-5, atol=1e-5)
    losses.mean().backward()
    prefix = f"{name}/grad_{short}/"
    parameters = [key.removeprefix(prefix) for key in ARRAYS if key.startswith(prefix)]
    assert len(parameters) == 2
    for parameter in parameters:
        assert_equal(net.get_parameter(parameter).grad, prefix + parameter, dtype)


@pytest.mark.parametrize("name", NETS)
def test_mixed_losses_of_one_pass_equal_independent_ones(name):
    net, (x, y) = network(name), images(name)
    epsilon, kappa, beta, value = ARRAYS[f"{name}/mixed_loss"]
    done = BoundedPass(trace_network(net), pixel_box(x, torch.tensor(epsilon)), x=x)
    margins = beta * done.margins(y, "crown-ibp") + (1 - beta) * done.margins(y, "ibp")
    worst = cross_entropy(worst_case_logits(margins), y)
    loss = kappa * cross_entropy(done.logits, y) + (1 - kappa) * worst
    assert float(loss.detach()) == pytest.approx(value, rel=1e-9)
    assert_equal(done.logits, f"{name}/logits")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_batch_norm_in_train_mode_has_the_statistics_of_the_clean_batch(dtype):
    net, (x, y) = network("resnet8", dtype).train(), images("resnet8", dtype)
    before = copy.deepcopy(net.state_dict())
    margins = margin_bounds(net, x, y, epsilon=EPSILONS[2], method="ibp")
    assert_equal(margins, "resnet8/train_mode_ibp_margin", dtype)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_one_pass_moves_running_statistics_once():
    net, (x, y) = network("resnet8").train(), images("resnet8")
    twin = copy.deepcopy(net)
    done = BoundedPass(trace_network(net), pixel_box(x, EPSILONS[2]), x=x)
    done.margins(y, "ibp"), done.margins(y, "crown-ibp")
    assert torch.equal(done.logits, twin(x))
    assert_equal(done.logits, "resnet8/train_mode_logits")
    assert all(
        torch.equal(value, net.state_dict()[key]) for key, value in twin.state_dict().items()
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETS)
def test_epsilon_zero_gives_the_clean_margins(name, method):
    net, (x, y) = network(name), images(name)
    logits = net(x)
    clean = logits.gather(1, y[:, None]) - logits
    torch.testing.assert_close(
        margin_bounds(net, x, y, epsilon=0, method=method), clean, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("memory", [0, -1, 0.5])
def test_no_memory_is_refused(memory):
    net, (x, y) = network("plain"), images("plain")
    with pytest.raises(ValueError, match="memory"):
        margin_bounds(net, x, y, epsilon=0.1, method="crown", memory=memory)


@pytest.mark.parametrize("key", [key for key in MARGINS if "unclipped" not in key])
@pytest.mark.parametrize("name", NETS)
def test_no_margin_lies_above_one_that_an_attack_found(name, key):
    found = margins(name, key, torch.float64)
    assert (found <= expected(f"{name}/attack_margin").flatten(0, 1) + 1e-9).all()


@pytest.mark.parametrize("method", METHODS)
def test_chunks_of_rows_change_nothing(method):
    net, (x, y) = network("plain"), images("plain")
    whole, parts = (
        margin_bounds(net, x, y, epsilon=EPSILONS[2], method=method, memory=memory)
        for memory in (2**28, 2**20)
    )
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=1e-12)


def test_max_pooling_is_for_intervals_only():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 3)
    )
    x, y = torch.rand(2, 1, 4, 4), torch.tensor([0, 2])
    assert margin_bounds(net, x, y, epsilon=0.1, method="ibp").shape == (2, 3)
    with pytest.raises(ValueError, match="without max pooling for crown-ibp, got 2"):
        margin_bounds(net, x, y, epsilon=0.1, method="crown-ibp")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": -0.1}, "finite epsilon >= 0"),
        ({"epsilon": torch.tensor([0.1, float("nan")])}, "finite epsilon >= 0"),
        ({"method": "crown_ibp"}, "method among ibp, crown-ibp, crown, fast-lin"),
        ({"x": torch.full((2, 1, 4, 4), 1.5)}, r"images in \[0, 1\]"),
        ({"y": torch.tensor([0, 3])}, r"labels within 0\.\.2"),
    ],
)
def test_bad_input_gives_no_number(options, message):
    net = nn.Sequential(Normalize(0.5, 0.5), nn.Flatten(), nn.Linear(16, 3))
    given = {"x": torch.rand(2, 1, 4, 4), "y": torch.tensor([0, 2]), "epsilon": 0.1, **options}
    with pytest.raises(ValueError, match=message):
        margin_bounds(net, **given)


@pytest.mark.parametrize(
    ("weights", "pixels", "kinds"),
    [
        (torch.float32, torch.float64, "torch.float32, torch.float64"),
        (torch.float64, torch.float32, "torch.float32, torch.float64"),
        (torch.bfloat16, torch.bfloat16, "torch.bfloat16"),
    ],
)
def test_bounds_are_of_one_precision_that_means_something(weights, pixels, kinds):
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).to(weights)
    x, y = torch.rand(2, 1, 4, 4).to(pixels), torch.tensor([0, 2])
    with pytest.raises(ValueError, match=f"of one precision, float32 or float64, got {kinds}; con"):
        margin_bounds(net, x, y, epsilon=0.1)


def flipped(self, rows, shape):
    """The convolution itself in place of its transpose, as far as the kernel goes."""
    turned = functional.conv_transpose2d(
        rows,
        self.layer.weight.flip(2, 3),
        stride=self.layer.stride,
        padding=self.padding,
        output_padding=[0 if rows.shape[-1] == shape[-1] else 1] * 2,
    )
    assert turned.shape[1:] == shape
    return turned


def without_output_padding(self, rows, shape):
    """The last row and column of a convolution with a stride get nothing."""
    short = functional.conv_transpose2d(
        rows, self.layer.weight, stride=self.layer.stride, padding=self.padding
    )
    lacking = [shape[-1] - short.shape[-1], shape[-2] - short.shape[-2]]
    return functional.pad(short, (0, lacking[0], 0, lacking[1]))


def of_the_other_mode(self, x, name, *, update):
    """Bounds by the running statistics, though the pass is normalised by those of its batch."""
    layer = self.layer
    return layer(x), self._standardization(layer.running_mean, layer.running_var)


FAULTS = {
    "transpose": (Convolution, "pull", flipped, "plain", "crown_ibp_margin"),
    "output-padding": (Convolution, "pull", without_output_padding, "plain", "crown_ibp_margin"),
    "output-padding-fast-lin": (
        Convolution, "pull", without_output_padding, "resnet8", "fastlin_margin"
    ),
    "sign": (Convolution, "spread", Convolution.apply, "plain", "ibp_margin"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name, monkeypatch):
    """By the oracles above; a fault that they let pass could be there unseen."""
    owner, method, fault, net, key = FAULTS[name]
    monkeypatch.setattr(owner, method, fault)
    monkeypatch.setitem(globals(), "margins", margins.__wrapped__)  # computed anew, with the fault
    with pytest.raises(AssertionError, match="relative error"):
        test_margins_equal_independent_ones(net, key, torch.float64)


def test_batch_norm_of_the_wrong_mode_is_caught(monkeypatch):
    monkeypatch.setattr(BatchNorm, "clean", of_the_other_mode)
    with pytest.raises(AssertionError, match="relative error"):
        test_batch_norm_in_train_mode_has_the_statistics_of_the_clean_batch(torch.float64)
