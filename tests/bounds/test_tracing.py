"""What a graph can be made of, and what is refused by name."""

import operator
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rsmooth.bounds import Prover
from rsmooth.bounds.tracing import trace_network


class Forward(nn.Module):
    """A network of one forward and a few layers."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


CONV = {"conv": nn.Conv2d(1, 2, 3, padding="same"), "fc": nn.Linear(32, 3)}
WRITTEN = {
    "view": lambda net, x: net.fc(torch.relu(net.conv(x)).view(x.size(0), -1)),
    "reshape": lambda net, x: net.fc(net.conv(x).relu().reshape(x.shape[0], -1)),
    "flatten": lambda net, x: net.fc(torch.flatten(functional.relu(net.conv(x)), 1)),
    "flatten-named": lambda net, x: net.fc(net.conv(x).flatten(start_dim=1)),
    "size-later": lambda net, x: net.fc(net.conv(x).contiguous().view(x.size()[0], -1)),
    "sums": lambda net, x: net.fc((net.conv(x) + net.conv(x) * 3).flatten(1)) / 2,
    "twice": lambda net, x: net.fc((x.add(x) + net.conv(x)).relu_().flatten(1)),
}


def in_place_after_all_uses(net, x):
    z = net.conv(x)
    other = z * 3
    other += z.relu_()
    other *= 2
    other /= 3
    return net.fc(functional.relu(other, inplace=True).flatten(1))


WRITTEN["in-place"] = in_place_after_all_uses


@pytest.mark.parametrize("name", WRITTEN)
def test_a_forward_may_be_written_in_many_ways(name):
    net = Forward(WRITTEN[name], **CONV)
    x = torch.rand(2, 1, 4, 4)
    assert torch.equal(trace_network(net).clean_pass(x)[0], net(x))


POOLED = {
    "avg": lambda net, x: net.fc(functional.avg_pool2d(x, 2).flatten(1)),
    "adaptive": lambda net, x: net.fc(functional.adaptive_avg_pool2d(x, (2, 2)).flatten(1)),
    "max": lambda net, x: net.fc(functional.max_pool2d(x, kernel_size=2).flatten(1)),
}


@pytest.mark.parametrize("name", POOLED)
def test_pooling_may_be_a_function(name):
    net = Forward(POOLED[name], fc=nn.Linear(4, 3))
    x = torch.rand(2, 1, 4, 4)
    assert torch.equal(trace_network(net).clean_pass(x)[0], net(x))


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    layer = nn.Linear(16, 3)
    layer.register_forward_hook(lambda module, inputs, output: 2 * output)
    return layer


def patched():
    layer = nn.Linear(16, 3)
    layer.forward = lambda x: -functional.linear(x, layer.weight)
    return layer


class Negated(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, -weight, bias)


def hooked_itself():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    net.register_forward_hook(lambda module, given, answer: -answer)
    return net


UNKNOWN = {
    "sigmoid": (nn.Sequential(nn.Flatten(), nn.Sigmoid()), r"got Sigmoid\(\) at 0\.1"),
    "padding": (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "padding_mode=circular"),
    "half-padding": (nn.Sequential(nn.Conv2d(1, 1, 2, padding="same")), "equal padding"),
    "subclass": (nn.Sequential(nn.Flatten(), Doubled(16, 3)), "step"),
    "convolution": (nn.Sequential(Negated(1, 1, 3)), r"got Negated.* at 0\.0"),
    "patched": (nn.Sequential(nn.Flatten(), patched()), r"got Linear.* at 0\.1"),
    "hook": (nn.Sequential(nn.Flatten(), hooked()), "without hooks, got one at 0.1"),
    "function": (Forward(lambda net, x: torch.exp(x).flatten(1)), "exp"),
    "product": (Forward(lambda net, x: (x * x).flatten(1)), "mul"),
    "difference": (Forward(lambda net, x: (x - x).flatten(1)), "sub"),
    "constant": (Forward(lambda net, x: (x + 1.0).flatten(1)), "add"),
    "mixing-view": (Forward(lambda net, x: x.view(-1, 8)), "view"),
    "branch": (Forward(lambda net, x: x if x.sum() > 0 else -x), "torch.fx can trace"),
    "tuple": (Forward(lambda net, x: (x, x)), "returns its logits"),
    "inner-flatten": (nn.Sequential(nn.Flatten(2)), "start_dim=2"),
    "batch-norm": (nn.Sequential(nn.SyncBatchNorm(1)), "SyncBatchNorm"),
    "indices": (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), "MaxPool2d"),
    "negative-mean": (nn.Sequential(nn.AvgPool2d(2, divisor_override=-4)), "AvgPool2d"),
    "negative-function": (
        Forward(lambda net, x: functional.avg_pool2d(x, 2, divisor_override=-4).flatten(1)),
        "avg_pool2d",
    ),
    "negative-in-order": (
        Forward(lambda net, x: functional.avg_pool2d(x, 2, 2, 0, False, True, -4).flatten(1)),
        "avg_pool2d",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_named(name):
    net, message = UNKNOWN[name]
    with pytest.raises(ValueError, match=message):
        trace_network(nn.Sequential(net))


def test_a_network_of_two_inputs_is_refused():
    class Two(nn.Module):
        def forward(self, x, y):
            return x.flatten(1) + y.flatten(1)

    with pytest.raises(ValueError, match=r"torch\.fx can trace, got Two: .* argument: 'y'"):
        trace_network(Two())


def test_a_hook_of_the_network_itself_is_read_too():
    with pytest.raises(ValueError, match="neg"):
        trace_network(hooked_itself())


def test_a_forward_of_the_object_is_read_in_place_of_that_of_its_class():
    net, x = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), torch.rand(2, 1, 4, 4)
    net.forward = types.MethodType(lambda self, x: self[1](self[0](x) * 10), net)
    assert torch.equal(trace_network(net).clean_pass(x)[0], net(x))


def used_again(write, view=lambda z: z):
    """A forward that uses a value, or a view of it, after ``write`` has changed it."""

    def forward(net, x):
        z = net.conv(x)
        seen = view(z)
        written = view(write(net, z))
        return net.fc((written + seen).flatten(1))

    return forward


OVERWRITTEN = {
    "layer": used_again(lambda net, z: net.relu(z)),
    "function": used_again(lambda net, z: functional.relu(z, inplace=True)),
    "function-by-position": used_again(lambda net, z: functional.relu(z, True)),
    "method": used_again(lambda net, z: z.relu_()),
    "sum": used_again(lambda net, z: z.add_(z * 2)),
    "operator": used_again(lambda net, z: operator.iadd(z, z * 2)),
    "product": used_again(lambda net, z: operator.imul(z, 2)),
    "quotient": used_again(lambda net, z: operator.itruediv(z, 2)),
    "twice": used_again(lambda net, z: z.relu_().add_(z * 2)),
    "view": used_again(lambda net, z: z.relu_(), view=lambda z: z.flatten(1)),
    "contiguous": used_again(lambda net, z: z.relu_(), view=lambda z: z.contiguous()),
    "dropout": lambda net, x: net.fc((net.relu(net.drop(y := net.conv(x))) + y).flatten(1)),
    "images": lambda net, x: net.fc((net.conv(net.relu(x)) + net.conv(x)).flatten(1)),
}


@pytest.mark.parametrize("name", OVERWRITTEN)
def test_a_value_that_is_used_after_it_was_overwritten_is_refused(name):
    """The graph would take it as it was, and prove what the network does not do."""
    layers = {"relu": nn.ReLU(inplace=True), "drop": nn.Dropout()}
    with pytest.raises(ValueError, match="not used after a step in place, got that of"):
        trace_network(Forward(OVERWRITTEN[name], **CONV, **layers).eval())


@pytest.mark.parametrize("divisor", [-4, np.int64(-4), torch.tensor(-4), np.int64(4)])
def test_a_mean_whose_weights_may_be_negative_is_refused(divisor):
    pooled = nn.Sequential(nn.AvgPool2d(2, divisor_override=divisor), nn.Flatten())
    called = Forward(
        lambda net, x: functional.avg_pool2d(x, 2, divisor_override=divisor).flatten(1)
    )
    for net in (pooled, called):
        with pytest.raises(ValueError, match=r"whose bounds are known|torch\.fx can trace"):
            trace_network(net)


def asks_for_a_tensor(net, x):
    z = net.a(x.flatten(1))
    return net.fc(z.relu() if isinstance(z, torch.Tensor) else z)


def writes_the_data(net, x):
    z = net.a(x.flatten(1))
    z.data = torch.relu(z)
    return net.fc(z)


def asks_for_gradients(net, x):
    z = net.a(x.flatten(1))
    return net.fc(z if torch.is_grad_enabled() else z.relu())


def has_a_layer_of_that_name(net, x):
    z = net.a(x.flatten(1))
    net.size(z)  # in place
    return net.fc(z)


@pytest.mark.parametrize(
    ("forward", "proved"),
    [
        (asks_for_a_tensor, None),
        (writes_the_data, None),
        (asks_for_gradients, -0.1),
        (has_a_layer_of_that_name, None),
    ],
)
def test_a_step_that_is_not_traced_certifies_nothing(forward, proved):
    """z_0 - z_1 = 0.6 - relu(0.5 - p) - relu(p): without the first ReLU it is 0.1 everywhere."""
    net = Forward(forward, a=nn.Linear(1, 2), fc=nn.Linear(2, 2), size=nn.ReLU(inplace=True))
    with torch.no_grad():
        net.a.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        net.a.bias.copy_(torch.tensor([0.5, 0.0]))
        net.fc.weight.copy_(torch.tensor([[-1.0, -1.0], [0.0, 0.0]]))
        net.fc.bias.copy_(torch.tensor([0.6, 0.0]))
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    if proved is None:
        with pytest.raises(ValueError, match=r"a step in place|its forward does more than torch"):
            Prover(net).predict(x)
    else:
        assert Prover(net).margins(x, y, 0.25, "ibp")[0, 1] <= proved
