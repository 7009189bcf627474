"""A prover's margins, and what it refuses. Their rounding is tested in test_rounding.py."""

import pytest
import torch
from torch import fx, nn

from rsmooth.bounds import METHODS, Prover, margin_bounds, smallest_margin
from tests.bounds.oracles import NETS, images, network


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_proved_margins_are_the_plain_ones_less_next_to_nothing(name, method):
    net, (x, y) = network(name, torch.float32).train(), images(name, torch.float32)
    proved = Prover(net).margins(x, y, 0.02, method)
    plain = margin_bounds(network(name), x.double(), y, epsilon=0.02, method=method, intersect=True)
    assert net.training
    assert (proved <= plain).all()
    torch.testing.assert_close(proved, plain, rtol=1e-9, atol=1e-9)


def test_predictions_are_those_of_the_network_in_eval_mode():
    net, (x, _) = network("resnet8", torch.float32), images("resnet8", torch.float32)
    assert torch.equal(Prover(net.train()).predict(x), net.eval()(x).argmax(dim=1))


class Halved(nn.Module):
    """Writes over its images, as a first step in place does."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x *= 0.5
        return self.fc(x.flatten(1))


def test_images_stay_as_they_are_when_the_network_writes_over_them():
    x = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    Prover(Halved()).predict(x)
    assert (x == 0.5).all()


def test_an_answer_outside_of_its_bounds_is_no_answer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            answer = self.fc(x.flatten(1))
            return answer if isinstance(x, fx.Proxy) else 2 * answer

    prover = Prover(Net())
    with pytest.raises(ValueError, match=r"more than torch\.fx shows"):
        prover.predict(torch.rand(20, 1, 2, 2))


def test_the_smallest_margin_leaves_the_class_itself_out():
    margins = torch.tensor([[0.0, -1.0, 2.0], [3.0, 0.0, 5.0]])
    assert smallest_margin(margins, torch.tensor([0, 1])).tolist() == [-1.0, 3.0]
    nan = torch.tensor([[0.0, torch.nan, 1.0]])
    assert not (smallest_margin(nan, torch.tensor([0])) > 0).any()


def test_overflow_proves_nothing():
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    for layer in (net[1], net[3]):
        nn.init.constant_(layer.weight, 1e30)
    stack = nn.Sequential(net, *[layer for _ in range(10) for layer in (nn.ReLU(), net[3])])
    x, y = torch.ones(1, 1, 1, 1), torch.tensor([0])
    for method in METHODS:
        assert not (smallest_margin(Prover(stack).margins(x, y, 0.1, method), y) > 0).any()
    with pytest.raises(ValueError, match=r"finite logits \(B, K\)"):
        Prover(stack).predict(x)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e31])
def test_weights_that_are_not_finite_are_refused(value):
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    net[1].weight.data[0, 0] = value
    with pytest.raises(ValueError, match=r"finite weights of at most 1e\+30, got others in 1\.w"):
        Prover(net)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": -0.1}, "finite epsilon >= 0"),
        ({"epsilon": torch.nan}, "finite epsilon >= 0"),
        ({"x": torch.full((1, 1, 8, 8), 1.5)}, r"images in \[0, 1\]"),
        ({"y": torch.tensor([10])}, r"labels within 0\.\.9"),
        ({"y": torch.tensor([0, 1])}, "1 integer labels"),
        ({"method": "lp"}, "method among"),
    ],
)
def test_what_has_no_margin_is_refused(change, message):
    asked = {"x": torch.zeros(1, 1, 8, 8), "y": torch.tensor([0]), "epsilon": 0.1, "method": "ibp"}
    with pytest.raises(ValueError, match=message):
        Prover(network("plain")).margins(**{**asked, **change})


def test_images_that_do_not_fit_have_no_cost():
    with pytest.raises(ValueError, match=r"fit the network, got \(C, H, W\) = \(1, 5, 5\)"):
        Prover(network("plain")).cost((1, 5, 5), "ibp")


def test_the_classes_are_the_logits():
    assert Prover(network("plain")).classes((1, 8, 8)) == 10


def test_the_cost_is_rows_times_multiplications():
    prover = Prover(network("plain"))
    once = 8 * 64 * 9 + 16 * 16 * 72 + 32 * 256 + 10 * 32
    assert prover.cost((1, 8, 8), "ibp") == 10 * once
    assert prover.cost((1, 8, 8), "fast-lin") == (256 + 32 + 10) * once
    assert prover.cost((1, 8, 8), "crown") == (2 * (256 + 32) + 10) * once
    assert not prover.intervals_only


def test_max_pooling_leaves_intervals_only():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    prover = Prover(net)
    assert prover.intervals_only
    with pytest.raises(ValueError, match="without max pooling for fast-lin"):
        prover.cost((1, 4, 4), "fast-lin")
