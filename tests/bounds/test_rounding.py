"""With rounding, bounds hold in exact arithmetic; without, they do not."""

from copy import deepcopy
from fractions import Fraction

import pytest
import torch
from torch import nn

from rsmooth.bounds import METHODS, Prover, margin_bounds, smallest_margin
from rsmooth.bounds.rounding import UNIT, exact_products, gamma, outward
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


def test_gamma_is_over_twice_the_bound_of_a_sum():
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
