"""With rounding, bounds hold in exact arithmetic; without, they do not."""

from copy import deepcopy
from fractions import Fraction
from threading import Thread

import pytest
import torch
from torch import nn

from rsmooth.bounds import METHODS, Interval, Prover, margin_bounds, pixel_box, smallest_margin
from rsmooth.bounds.graph import Graph, Node
from rsmooth.bounds.interval import interval_bounds
from rsmooth.bounds.layers import Diagonal, Input, Linear, Relu, Sum
from rsmooth.bounds.linear import Backward, Relaxation, relax
from rsmooth.bounds.rounding import UNIT, exact_products, gamma, outward
from rsmooth.bounds.tracing import trace_network
from rsmooth.models.normalize import Normalize
from tests.bounds.exact import exact_logits

SEEDS = range(30)


def cancelling(seed: int, *, convolution: bool) -> nn.Sequential:
    """A float32 network of large weights, whose second layer cancels what the first gives.

    At ``image(seed)`` its neurons are 0 up to rounding, and the logits with them.
    """
    torch.manual_seed(seed)
    first: list[nn.Module] = [nn.Flatten(), nn.Linear(18, 8)]
    if convolution:
        norm = nn.BatchNorm2d(2, eps=0.0)
        norm.running_var.copy_(torch.tensor([0.25, 9.0]))
        norm.running_mean.normal_()
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        first = [nn.Conv2d(2, 2, 2), norm, nn.Flatten()]
    first = [Normalize((0.3, 0.6), (0.1, 0.3)), *first, nn.ReLU(), nn.Linear(8, 8)]
    net = nn.Sequential(*first, nn.ReLU(), nn.Linear(8, 2)).eval().requires_grad_(False)
    for layer in first:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.weight.mul_(1e4)
    nn.init.zeros_(first[-1].bias)
    first[-1].bias.copy_(-nn.Sequential(*first)(image(seed))[0])
    return net


def image(seed: int) -> torch.Tensor:
    return torch.rand(1, 2, 3, 3, generator=torch.Generator().manual_seed(seed))


def overshoot(margin: torch.Tensor, net: nn.Sequential, x: torch.Tensor) -> float:
    """How far a bound of z_0 - z_1 lies above its value at x, in exact arithmetic; > 0 is false."""
    first, second = exact_logits(net, x[0])
    return float(Fraction(float(margin[0, 1])) - (first - second))


@pytest.mark.parametrize("convolution", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_proved_margins_hold_in_exact_arithmetic(method, convolution):
    plainly_false, proved = 0, []
    y = torch.tensor([0])
    for seed in SEEDS:
        net, x = cancelling(seed, convolution=convolution), image(seed)
        plain = margin_bounds(deepcopy(net).double(), x.double(), y, epsilon=0.0, method=method)
        margin = Prover(net).margins(x, y, 0.0, method)
        plainly_false += overshoot(plain, net, x) > 0
        proved.append(overshoot(margin, net, x))
    assert max(proved) <= 0
    assert min(proved) > -1e-3  # of terms near 1e9: not vacuous
    # Else this test would pass without any allowance for rounding.
    assert plainly_false >= len(SEEDS) // 5


def test_a_plain_float32_bound_accepts_what_is_false():
    """Its margin is positive, and yet the network itself, exactly, gives the other class."""
    y = torch.tensor([0])
    fooled = 0
    for seed in SEEDS:
        net, x = cancelling(seed, convolution=False), image(seed)
        first, second = exact_logits(net, x[0])
        for method in METHODS:
            plain = margin_bounds(net, x, y, epsilon=0.0, method=method)
            fooled += bool(smallest_margin(plain, y) > 0) and second > first
            if smallest_margin(Prover(net).margins(x, y, 0.0, method), y) > 0:
                assert first > second
    assert fooled >= 3


def test_proved_margins_are_next_to_the_plain_ones():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(18, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x, y = image(0), torch.tensor([1])
    for method in METHODS:
        plain = margin_bounds(
            net.double(), x.double(), y, epsilon=0.1, method=method, intersect=True
        )
        proved = Prover(net).margins(x, y, 0.1, method)
        assert (proved <= plain).all()
        torch.testing.assert_close(proved, plain, rtol=1e-11, atol=1e-11)


def test_certain_margins_take_the_rounding_error_off_three_times():
    """Of the box of all images, which is the same box around each: nothing else differs."""
    net, x, y = cancelling(0, convolution=False), image(0), torch.tensor([0])
    prover = Prover(net)
    margins = margin_bounds(deepcopy(net).double(), x.double(), y, epsilon=1.0, method="ibp")
    once = margins - prover.margins(x, y, 1.0, "ibp")
    thrice = margins - prover.certain_margins(x, y, 1.0, 0.5)
    assert float(once[0, 1]) > 0
    assert float(thrice[0, 1] / once[0, 1]) == pytest.approx(3.0, rel=0.05)
    pair, labels = torch.cat([x, x]), torch.tensor([0, 1])
    alone = [prover.certain_margins(x, label, 1.0, 0.5) for label in labels.split(1)]
    assert torch.equal(prover.certain_margins(pair, labels, 1.0, 0.5), torch.cat(alone))
    assert [float(found[0, label]) for found, label in zip(alone, labels, strict=True)] == [0, 0]


def test_gamma_is_over_twice_the_bound_of_a_sum():
    assert torch.finfo(torch.float64).eps / 2 == UNIT
    for terms in (1, 100, 32768):
        assert gamma(terms) > 2 * (terms + 8) * UNIT / (1 - (terms + 8) * UNIT)


def test_ends_move_outward():
    lower, upper = outward(torch.tensor([0.5, 0.0]), torch.tensor([0.5, 1.0]))
    assert (lower < torch.tensor([0.5, 0.0])).all()
    assert (upper > torch.tensor([0.5, 1.0])).all()


def test_no_autocast_shortens_a_bound():
    net = nn.Sequential(nn.Flatten(), nn.Linear(18, 3)).eval()
    x, y = image(0), torch.tensor([1])
    plain, proved = margin_bounds(net, x, y, epsilon=0.1), Prover(net).margins(x, y, 0.1, "ibp")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(margin_bounds(net, x, y, epsilon=0.1), plain)
        assert torch.equal(Prover(net).margins(x, y, 0.1, "ibp"), proved)
        with exact_products():
            assert (x.flatten(1) @ torch.eye(18)).dtype == torch.float32


# Steps by themselves, so that no other step's allowance hides that one's is missing.


def exact(one: torch.Tensor, other: torch.Tensor) -> Fraction:
    """The dot product of two vectors."""
    return sum(map(Fraction.__mul__, map(Fraction, one.tolist()), map(Fraction, other.tolist())))


def cancelling_products(seed: int, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Two float64 vectors whose products sum to next to nothing."""
    rows, z = torch.randn(2, size, generator=torch.Generator().manual_seed(seed)).double() * 1e3
    rows[-1], z[-1] = -float(exact(rows[:-1], z[:-1])), 1.0
    return rows, z


def backward(z: list[torch.Tensor], nodes: list[Node], lines: dict[int, Relaxation]) -> Backward:
    intervals = [Interval(value[None], value[None]) for value in z]
    for interval, node in zip(intervals, nodes, strict=True):
        if isinstance(node.op, Linear):
            interval.size = node.op.layer.weight.abs() @ z[node.inputs[0]].abs()
            interval.size = interval.size[None].detach()
    return Backward(Graph(tuple(nodes)), intervals, lines, 1.0)


IMAGES = Node("x", Input(), ())


def test_rows_that_end_allow_for_their_sum():
    for seed in SEEDS:
        rows, z = cancelling_products(seed)
        found = backward([z], [IMAGES], {}).both(0, rows.view(1, 1, -1))
        assert Fraction(float(found.lower)) <= exact(rows, z) <= Fraction(float(found.upper))


def test_rows_before_a_layer_allow_for_what_cancels_in_them():
    for seed in SEEDS:
        rows, column = cancelling_products(seed)
        layer = nn.Linear(1, len(rows), bias=False).double().requires_grad_(False)
        layer.weight.copy_(column[:, None])
        x = torch.tensor([3.0], dtype=torch.float64)
        nodes = [IMAGES, Node("fc", Linear(layer), (0,))]
        for sign in (1, -1):
            found = backward([x, layer(x)], nodes, {}).lower(1, sign * rows.view(1, 1, -1))
            assert Fraction(float(found)) <= 3 * sign * exact(rows, column)


def test_intercepts_allow_for_their_sum():
    intercept = torch.full((1, 4096), 2.0**-54, dtype=torch.float64)
    intercept[:, ::512] = 1.0  # beside which the others are lost
    nothing = torch.zeros(1, 4096, dtype=torch.float64)
    lines = {1: Relaxation(nothing, nothing, intercept)}
    nodes = [IMAGES, Node("relu", Relu(), (0,))]
    rows = -torch.ones(1, 1, 4096, dtype=torch.float64)
    found = backward([nothing[0], nothing[0]], nodes, lines).lower(1, rows)
    assert Fraction(float(found)) <= -exact(intercept[0], -rows[0, 0])


def test_the_upper_line_is_above_a_relu_at_both_ends():
    ends = torch.rand(2, 500, generator=torch.Generator().manual_seed(0)).double() * 1e3
    lines = relax(Interval(-ends[0], ends[1]), "parallel", rounding=True)
    for low, high, slope, intercept in zip(
        (-ends[0]).tolist(), ends[1].tolist(), lines.upper_slope.tolist(), lines.intercept.tolist(),
        strict=True,
    ):  # fmt: skip
        assert 0 <= slope <= 1
        assert Fraction(slope) * Fraction(low) + Fraction(intercept) >= 0
        assert Fraction(slope) * Fraction(high) + Fraction(intercept) >= Fraction(high)


def test_a_sum_and_a_box_hold_what_they_are_of():
    x, small = torch.rand(2, 1, 50, generator=torch.Generator().manual_seed(0)).double()
    for epsilon in (0.01, 2 / 255):
        box = pixel_box(x, epsilon, None, rounding=True)
        for low, value, high in zip(box.lower[0], x[0], box.upper[0], strict=True):
            assert Fraction(float(low)) <= Fraction(float(value)) - Fraction(epsilon)
            assert Fraction(float(high)) >= Fraction(float(value)) + Fraction(epsilon)
    scale = Diagonal(small[0] * 2.0**-40, torch.zeros(50), torch.zeros(50))
    nodes = (IMAGES, Node("scaled", scale, (0,)), Node("sum", Sum(), (0, 1)))
    total = interval_bounds(Graph(nodes), Interval(x, x), rounding=1.0)[2]
    for low, value, part, high in zip(
        total.lower[0], x[0], scale.scale, total.upper[0], strict=True
    ):
        truth = Fraction(float(value)) * (1 + Fraction(float(part)))
        assert Fraction(float(low)) <= truth <= Fraction(float(high))


def test_sizes_count_what_cancels_in_a_layer():
    layer, norm = nn.Linear(2, 2).double(), nn.BatchNorm1d(2, eps=0.0).double().eval()
    nn.init.constant_(layer.bias, -7.0)
    nn.init.constant_(norm.bias, 5.0)
    norm.running_mean.fill_(5.0)
    x = torch.tensor([[1.0, -3.0]], dtype=torch.float64)
    graph = trace_network(nn.Sequential(layer, norm)).fixed()
    first, second = interval_bounds(graph, Interval(x, x), rounding=1.0)[1:]
    torch.testing.assert_close(first.size, x.abs() @ layer.weight.abs().T + 7.0)
    torch.testing.assert_close(second.size, layer(x).abs() + 5.0 + 5.0)


def test_exact_products_hold_while_any_thread_is_in_them_and_are_undone_by_the_last():
    before = torch.backends.cudnn.enabled
    first, second = exact_products(), exact_products()
    first.__enter__()
    other = Thread(target=second.__enter__)
    other.start()
    other.join()
    first.__exit__(None, None, None)
    assert not torch.backends.cudnn.enabled
    other = Thread(target=second.__exit__, args=(None, None, None))
    other.start()
    other.join()
    assert torch.backends.cudnn.enabled == before


class Extreme(nn.Module):
    """A step up, and two down: the rows of a backward pass are 0, and what they meet is 2^1010."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[-1.0], [0.0]]))
            self.fc.bias.copy_(torch.tensor([0.3 * 2.0**-75, 0.0]))

    def forward(self, x):
        return self.fc(x.flatten(1) * 2.0**1010 * 2.0**-600 * 2.0**-485)


@pytest.mark.parametrize("method", METHODS)
def test_rows_that_underflow_prove_nothing(method):
    """The class changes between 0.1 and 0.6, where the logits are 1e-24."""
    x = torch.full((1, 1, 1, 1), 0.1)
    prover = Prover(Extreme())
    y = prover.predict(x)
    assert prover.predict(x + 0.5) != y
    assert not bool(smallest_margin(prover.margins(x, y, 0.5, method), y) > 0)
