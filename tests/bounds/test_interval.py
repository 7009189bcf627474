"""Intervals equal independent ones, and hold what they say."""

import pytest
import torch
from torch import nn

from rsmooth.bounds import Interval, interval_bounds, pixel_box, trace_network
from rsmooth.bounds.interval import _widened
from rsmooth.bounds.layers import Sum
from rsmooth.bounds.rounding import UNIT
from tests.bounds.oracles import ARRAYS, EPSILONS, NETS, assert_equal, images, network


@pytest.mark.parametrize("end", ["lower", "upper"])
@pytest.mark.parametrize("name", NETS)
def test_intervals_of_logits_equal_independent_ones(name, end):
    graph, (x, _) = trace_network(network(name)).fixed(), images(name)
    found = [getattr(interval_bounds(graph, pixel_box(x, e))[-1], end) for e in EPSILONS]
    assert_equal(torch.stack(found), f"{name}/ibp_{end}")
    assert ARRAYS[f"{name}/ibp_{end}"].shape == (5, 5, 10)


def test_boxes_are_cut_at_the_ends_of_pixel_values():
    x = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    cut, whole = pixel_box(x, 0.25), pixel_box(x, 0.25, None)
    assert cut.lower.flatten().tolist() == [0.0, 0.25, 0.75]
    assert cut.upper.flatten().tolist() == [0.25, 0.75, 1.0]
    assert whole.lower.flatten().tolist() == [-0.25, 0.25, 0.75]
    each = pixel_box(x, torch.tensor([0.0, 0.1, 0.2]).view(1, 1, 1, 3))
    assert each.upper.flatten().tolist() == pytest.approx([0.0, 0.6, 1.0])


@pytest.mark.parametrize("clip", [(1.0, 0.0), (0.5, 0.5), (float("nan"), 1.0)])
def test_ends_of_pixel_values_out_of_order_are_refused(clip):
    with pytest.raises(ValueError, match="low < high, or None, got"):
        pixel_box(torch.zeros(1, 1, 2, 2), 0.1, clip)


def test_max_pooling_and_sums_keep_what_is_within():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()).double()
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    found = interval_bounds(trace_network(net).fixed(), pixel_box(x, 0.1))[-1]
    points = (x + (2 * torch.rand(500, 1, 6, 6, dtype=x.dtype) - 1) * 0.1).clamp(0, 1)
    z = net(points)
    assert (z >= found.lower).all()
    assert (z <= found.upper).all()
    assert (found.upper - found.lower < 2 * (z.amax(0) - z.amin(0)) + 0.3).all()


def test_the_rounding_error_of_a_sum_is_of_the_sizes_of_both_terms():
    first, second, plain = (
        Interval(*torch.tensor(ends, dtype=torch.float64).view(2, 1, 1))
        for ends in ([-3.0, 2.0], [1.0, 4.0], [-2.0, 6.0])
    )
    wider = _widened(Sum(), [first, second], plain, 2.0)
    error = 2 * 4 * UNIT * (3 + 4)
    assert (float(wider.lower), float(wider.upper)) == (-2.0 - error, 6.0 + error)


def test_intervals_have_a_centre_a_radius_and_intersections():
    first = Interval(torch.tensor([0.0, -1.0]), torch.tensor([2.0, 1.0]))
    assert first.center.tolist() == [1.0, 0.0]
    assert first.radius.tolist() == [1.0, 1.0]
    assert first.reach.tolist() == [2.0, 1.0]
    assert Interval(torch.tensor([-3.0, 1.0]), torch.tensor([2.0, 4.0])).reach.tolist() == [3, 4]
    for interval in (first, Interval.around(first.center, first.radius)):
        assert interval.to(torch.float32) is interval
        double = interval.to(torch.float64)
        assert (double.lower.dtype, double.radius.dtype) == (torch.float64, torch.float64)
        assert (double.lower.tolist(), double.upper.tolist()) == ([0.0, -1.0], [2.0, 1.0])
    both = first.intersect(Interval.around(torch.tensor([0.0, 0.0]), torch.tensor([0.5, 2.0])))
    assert both.lower.tolist() == [0.0, -1.0]
    assert both.upper.tolist() == [0.5, 1.0]
