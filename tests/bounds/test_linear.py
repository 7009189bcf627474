"""The lines around a ReLU enclose it, and rows carried back give true bounds."""

import pytest
import torch
from torch import nn

from rsmooth.bounds import METHODS, BoundedPass, Interval, Prover, pixel_box, trace_network
from rsmooth.bounds.linear import Backward, relax
from tests.bounds.oracles import images, network

ENDS = Interval(
    torch.tensor([-2.0, -1.0, 0.0, -1.0, 1.0, -3.0, 0.0, -1.0]),
    torch.tensor([1.0, 2.0, 1.0, 0.0, 2.0, -1.0, 0.0, 1.0]),
)


@pytest.mark.parametrize("slopes", ["adaptive", "parallel"])
def test_lines_enclose_the_relu(slopes):
    lines = relax(ENDS, slopes)
    for share in torch.linspace(0, 1, 101):
        z = ENDS.lower + share * (ENDS.upper - ENDS.lower)
        assert (lines.lower_slope * z <= z.relu() + 1e-6).all()
        assert (lines.upper_slope * z + lines.intercept >= z.relu() - 1e-6).all()
    assert lines.parallel == (slopes == "parallel")


def test_lines_are_those_of_the_papers():
    third, half = pytest.approx(1 / 3), 0.5
    upper = [third, pytest.approx(2 / 3), 1, 0, 1, 0, 1, half]
    adaptive, parallel = relax(ENDS, "adaptive"), relax(ENDS, "parallel")
    for lines in (adaptive, parallel):
        assert lines.upper_slope.tolist() == upper
        assert lines.intercept.tolist() == [
            pytest.approx(2 / 3), pytest.approx(2 / 3), 0, 0, 0, 0, 0, half
        ]  # fmt: skip
    # CROWN: 1 where u > -l, else 0; Fast-Lin: as the upper one.
    assert adaptive.lower_slope.tolist() == [0, 1, 1, 0, 1, 0, 1, 0]
    assert parallel.lower_slope.tolist() == upper


def test_no_gradient_is_nan_where_an_interval_is_a_point():
    ends = torch.zeros(3, requires_grad=True)
    lines = relax(Interval(ends - torch.tensor([0.0, 1.0, 0.0]), ends), "parallel")
    (lines.lower_slope + lines.intercept).sum().backward()
    assert torch.isfinite(ends.grad).all()


@pytest.mark.parametrize("method", ["crown-ibp", "fast-lin"])
@pytest.mark.parametrize("name", ["plain", "resnet8"])
def test_both_sides_of_rows_hold_for_points_of_the_box(name, method):
    net, (x, _) = network(name), images(name)
    box = pixel_box(x, 0.05)
    done = BoundedPass(trace_network(net), box, x=x)
    torch.manual_seed(0)
    rows = torch.randn(len(x), 4, 10, dtype=x.dtype)
    backward = Backward(done.graph, done.intervals, done.relaxations(method))
    last = len(done.graph) - 1
    found = backward.both(last, rows)
    torch.testing.assert_close(found.lower, backward.lower(last, rows), rtol=1e-12, atol=1e-12)
    for _ in range(20):
        points = box.lower + torch.rand_like(x) * (box.upper - box.lower)
        values = torch.einsum("brk,bk->br", rows, net(points))
        assert (found.lower <= values).all()
        assert (values <= found.upper).all()


@pytest.mark.parametrize("slopes", ["adaptive", "parallel"])
def test_what_overflowed_is_enclosed_by_no_line(slopes):
    """A slope of 0 would leave it out of the bound, which then would say too much."""
    nan, inf = torch.tensor([torch.nan]), torch.tensor([torch.inf])
    for z in (Interval(nan, nan), Interval(-inf, inf), Interval(nan, inf)):
        lines = relax(z, slopes)
        assert lines.upper_slope.isnan().all()
        assert lines.intercept.isnan().all()


class Shared(nn.Module):
    """Adds the mean of each channel, and one more number, to all that it is of: a linear map."""

    def __init__(self):
        super().__init__()
        self.conv, self.mean = nn.Conv2d(1, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1)
        self.fc, self.one = nn.Linear(48, 4), nn.Linear(48, 1)

    def forward(self, x):
        z = self.conv(x)
        z = (self.mean(z) + z).flatten(1)
        return self.fc(z) + self.one(z)


@pytest.mark.parametrize("method", METHODS)
def test_a_sum_may_repeat_a_value_along_an_axis(method):
    """Of a linear map all methods that carry rows to the images are exact."""
    torch.manual_seed(0)
    net, x, y = Shared().double(), torch.rand(2, 1, 4, 4).double(), torch.tensor([1, 3])
    slope = torch.func.jacrev(lambda v: net(v.view(1, 1, 4, 4))[0])(torch.zeros(16).double())
    rows = torch.eye(4, dtype=torch.float64)[y].unsqueeze(1) - torch.eye(4, dtype=torch.float64)
    exact = (rows @ net(x).unsqueeze(2)).squeeze(2) - 0.1 * (rows @ slope).abs().sum(dim=2)
    proved = Prover(net, clip=None).margins(x, y, 0.1, method)
    assert (proved <= exact + 1e-12).all()
    if method != "ibp":
        torch.testing.assert_close(proved, exact, rtol=1e-9, atol=1e-9)


def test_a_sum_that_mixes_images_has_no_bounds():
    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(16, 4)

        def forward(self, x):
            return (x + self.fc(x.flatten(1))).flatten(1)

    with pytest.raises(ValueError, match="values with the same axes"):
        Prover(Mixing()).margins(torch.rand(4, 1, 4, 4), torch.zeros(4).long(), 0.1, "ibp")
