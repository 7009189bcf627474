"""Consistency regularisation: the paper's formula."""

from __future__ import annotations

import pytest
import torch

from rsmooth.defenses import Consistency
from rsmooth.defenses.consistency import consistency_penalty
from tests.training.helpers import CLASSES


def test_consistency_loss_is_the_papers_formula() -> None:
    logits, y = (
        torch.randn(5, 3, CLASSES, generator=torch.Generator().manual_seed(2)),
        torch.tensor([0, 1, 2, 0, 1]),
    )
    log_probs = logits.log_softmax(2)
    mean = log_probs.exp().mean(1)
    each = [
        torch.nn.functional.kl_div(log_probs[:, i], mean, reduction="none").sum(1) for i in range(3)
    ]
    entropy = torch.distributions.Categorical(mean).entropy()
    naive = -log_probs.gather(2, y[:, None, None].expand(-1, 3, 1)).mean(dim=(1, 2))
    expected = naive + 7 * torch.stack(each).mean(0) + 0.25 * entropy
    trainer = Consistency(num_noise=3, consistency_weight=7, entropy_weight=0.25)
    assert torch.allclose(trainer.loss(log_probs, y), expected, atol=1e-6)


def test_equal_copies_leave_the_entropy_alone() -> None:
    log_probs = torch.randn(4, 1, CLASSES, generator=torch.Generator().manual_seed(0)).log_softmax(
        2
    )
    found = consistency_penalty(
        log_probs.expand(-1, 3, -1), consistency_weight=100.0, entropy_weight=0.5
    )
    entropy = torch.distributions.Categorical(log_probs[:, 0].exp()).entropy()
    torch.testing.assert_close(found, 0.5 * entropy, atol=1e-4, rtol=0)


def test_one_copy_has_nothing_to_agree_with() -> None:
    with pytest.raises(ValueError, match="expected num_noise >= 2 copies to compare, got 1"):
        Consistency(num_noise=1)


@pytest.mark.parametrize("name", ["consistency_weight", "entropy_weight"])
@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_out_of_range_are_refused(name: str, weight: float) -> None:
    with pytest.raises(ValueError, match=f"expected {name} to be a number >= 0, got {weight}"):
        Consistency(**{name: weight})  # type: ignore[arg-type]
