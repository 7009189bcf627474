"""Wong and Kolter's training: the exact bound, its estimate, the published recipe."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth.bounds import margin_bounds, worst_case_logits
from rsmooth.defenses import WongKolter
from tests.bounds import oracles
from tests.defenses.bounded import batch_of
from tests.training.helpers import classifier, images, trained

OPTIONS = {"epsilon": 0.02, "epochs": 2, "warmup_epochs": 0}


def test_the_exact_method_learns_the_margins_of_fast_lin_over_the_whole_box() -> None:
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    found = WongKolter(**OPTIONS).losses(batch_of(net, x, y))
    margins = margin_bounds(net, x, y, epsilon=0.02, method="fast-lin", clip=None)
    expected = cross_entropy(worst_case_logits(margins), y, reduction="none")
    torch.testing.assert_close(found, expected)


def test_the_estimated_loss_is_near_the_exact_one_and_of_other_draws_another() -> None:
    """With 801 projections the relative error of each norm is about 6 % (one sigma)."""
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    exact = WongKolter(**OPTIONS).losses(batch_of(net, x, y)).mean()
    torch.manual_seed(0)
    trainer = WongKolter(projections=801, **OPTIONS)
    first, second = (trainer.losses(batch_of(net, x, y)).mean() for _ in range(2))
    assert first.item() == pytest.approx(exact.item(), rel=0.3)
    assert first != second


def test_a_run_with_projections_repeats_itself() -> None:
    trainer = WongKolter(projections=5, batch_size=12, **OPTIONS)
    one, other = (trained(trainer, classifier(sigma=0.0), images()) for _ in range(2))
    assert torch.equal(one, other)
    exact = WongKolter(batch_size=12, **OPTIONS)
    assert not torch.allclose(one, trained(exact, classifier(sigma=0.0), images()))


def test_the_defaults_are_the_published_recipe() -> None:
    trainer = WongKolter(epsilon=2 / 255)
    assert trainer.epsilon_at(0) == pytest.approx(2 / 255 / 20)
    assert trainer.epsilon_at(19) == 2 / 255
    assert min(trainer.lr_milestones) > 20


def test_no_projections_are_refused() -> None:
    with pytest.raises(ValueError, match="expected projections >= 1, or None, got 0"):
        WongKolter(epsilon=0.1, projections=0)
