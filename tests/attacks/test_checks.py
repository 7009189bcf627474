"""Bad input and answers that measure nothing are said."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks import (
    DDN,
    PGD,
    FoolboxAttack,
    SmoothAdvPGD,
)
from rsmooth.attacks.base import majority_vote
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import Flat, base_labels, draw, images, smooth_net


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x + 1, y), r"expected images in \[0, 1\], got values from 1.4"),
        (lambda x, y: (x * torch.nan, y), "expected images"),
        (lambda x, y: ((x * 255).byte(), y), "expected floating-point images"),
        (lambda x, y: (x[0], y), "expected floating-point images"),
        (lambda x, y: (x, y + 5), r"expected labels within 0..4, got 5"),
        (lambda x, y: (x, y[:2]), "expected 3 integer labels"),
        (lambda x, y: (x, y.double()), "expected integer labels, got torch.float64"),
        (lambda x, y: (x, [0.0, 1.0, 2.0]), "expected integer labels, got torch.float64"),
        (lambda x, y: (x, y == 0), "expected integer labels, got torch.bool"),
    ],
)
def test_bad_input_is_refused(change, message):
    g, x = smooth_net(), images(3)
    x_bad, y_bad = change(x, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=message):
        PGD(epsilon=0.3, steps=1)(g, x_bad, y_bad)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_labels_may_be_of_every_kind(kind):
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    attack = PGD(epsilon=0.3, steps=1)
    for validate in (True, False):
        wanted = attack(g, x, y, validate=validate)
        assert not torch.equal(wanted, x)
        assert torch.equal(attack(g, x, kind(y.tolist()), validate=validate), wanted)


def test_without_validation_bad_input_is_not_caught():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    attack = PGD(epsilon=0.3, steps=1)
    assert_close(attack(g, x, y, validate=False), attack(g, x, y), atol=1e-14, rtol=0)
    assert attack(g, x + 1, y, validate=False).shape == x.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": -0.1}, "expected a finite epsilon >= 0"),
        ({"epsilon": float("nan")}, "expected a finite epsilon >= 0"),
        ({"target": "f"}, "expected target 'base' or 'smoothed', got 'f'"),
        ({"steps": 0}, "expected whole steps >= 1, got 0"),
        ({"steps": 2.5}, "expected steps to be an integer, got 2.5"),
        ({"steps": True}, "expected steps to be an integer, got True"),
        ({"epsilon": "0.5"}, "expected epsilon to be a number, got '0.5'"),
        ({"targeted": "no"}, "expected targeted to be true or false, got 'no'"),
        ({"objective": 3}, "expected the name of an objective, or a function of"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PGD(**{"epsilon": 0.5, "steps": 2, **options})


class Rounding(nn.Module):
    """A linear network, and the same with its input rounded to 8 bits: one function on images."""

    def __init__(self, base, rounds):
        super().__init__()
        self.base = base
        self.rounds = rounds

    def forward(self, x):
        return self.base((x * 255).round() / 255 if self.rounds else x)


@pytest.mark.parametrize(
    "attack",
    [
        PGD(epsilon=0.3, steps=3),
        SmoothAdvPGD(epsilon=0.3, steps=3),
        DDN(epsilon=0.3, steps=3),
        FoolboxAttack(epsilon=0.3, attack="L2PGD", options={"steps": 3}, target="smoothed"),
    ],
)
def test_an_attack_that_no_gradient_leads_says_so(attack):
    g, x = smooth_net(), images(4)
    y = g.log_probs(x[:, None] + draw(g, x, 4)).logsumexp(dim=1).argmax(dim=1)
    noise = draw(g, x, 4)
    found = attack.measured(g, x, y, noise=noise)
    assert not found.without_gradient.any()
    g.base = Rounding(g.base, rounds=True)
    found = attack.measured(g, x, y, noise=noise)
    votes = g.log_probs(x[:, None] + (0 if attack.target == "base" else noise))
    still = (votes.logsumexp(dim=1).argmax(dim=1) == y) & (majority_vote(votes) == y)
    assert still.any()
    assert torch.equal(found.without_gradient, still)
    with pytest.warns(UserWarning, match=f"zero at every step for {int(still.sum())} of 4 images"):
        attack(g, x, y, noise=noise)


def test_where_nothing_may_move_no_gradient_is_missed():
    g, x = SmoothedClassifier(Flat(), 0.2, 3), images(3)
    found = PGD(epsilon=0.0, steps=1).measured(g, x, torch.zeros(3, dtype=torch.int64))
    assert not found.without_gradient.any()
