"""The model under attack answers under the attack's noise, and broken answers are no numbers."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks import (
    DDN,
    PGD,
    SmoothAdvPGD,
)
from rsmooth.attacks.base import majority_vote
from rsmooth.attacks.victim import Victim
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import Hole, base_labels, draw, images, length, probe, smooth_net


def test_the_base_target_sees_no_noise_whatever_is_handed_over():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    seen = probe(g, x, y, noise=draw(g, x, 4))
    assert seen.log_probs.shape == (3, 1, 5)
    assert_close(seen.log_probs[:, 0], g.base(x).log_softmax(dim=1).detach())
    assert torch.equal(
        PGD(epsilon=0.3, steps=3)(g, x, y, noise=draw(g, x, 4)), PGD(epsilon=0.3, steps=3)(g, x, y)
    )


def test_votes_and_ties():
    log_probs = torch.nn.functional.one_hot(
        torch.tensor([[2, 1, 1], [2, 2, 0], [2, 1, 0]]), 3
    ).double()
    assert majority_vote(log_probs).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "attack", [PGD(epsilon=0.3, steps=2), DDN(epsilon=0.3, steps=2), DDN(epsilon=0.3, steps=1)]
)
def test_nan_logits_yield_no_number(attack):
    g, x = SmoothedClassifier(Hole(), 0.2, 2), images(3)
    x[:, 0, 0, 0] = torch.tensor([0.4, 0.9, 0.4])
    y = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(
        ValueError, match=r"expected finite logits .* for images \[1\] .* \(1 of 3\)"
    ):
        attack(g, x, y)
    unchecked = attack(g, x, y, validate=False)
    assert unchecked.isnan().flatten(1).all(dim=1).tolist() == [False, True, False]
    assert unchecked[[0, 2]].isfinite().all()


def test_masked_classes_are_no_nan():
    class Masked(nn.Module):
        def forward(self, x):
            return torch.cat(
                [x.flatten(1)[:, :2], torch.full((len(x), 1), -torch.inf, dtype=x.dtype)], dim=1
            )

    g, x = SmoothedClassifier(Masked(), 0.1, 3), images(2)
    assert_close(
        length(
            SmoothAdvPGD(epsilon=0.1, steps=2)(g, x, torch.zeros(2, dtype=torch.int64), num_noise=2)
            - x
        ),
        torch.full((2,), 0.1, dtype=torch.float64),
    )


def test_points_of_one_image_are_under_its_noise_and_a_nan_is_its_own():
    g, x = smooth_net(), images(3)
    noise, points = draw(g, x, 4), images(5, seed=7)
    of_one = Victim(g, noise, x).log_probs_anywhere(points, image=1)
    assert torch.equal(of_one, g.log_probs(points.unsqueeze(1) + noise[1]))
    bare = Victim(g, None, x).log_probs_anywhere(points)
    assert torch.equal(bare, g.log_probs(points.unsqueeze(1)))
    victim = Victim(SmoothedClassifier(Hole(), 0.2, 2), None, x)
    victim.log_probs_anywhere(torch.ones_like(points), image=1)
    assert victim.healthy.tolist() == [True, False, True]
    victim.log_probs_anywhere(torch.ones_like(points))
    assert not victim.healthy.any()
