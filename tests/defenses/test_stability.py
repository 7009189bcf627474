"""Stability training: the paper's formula, and what the weight does."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth.defenses import Stability, Trainer, stability_loss
from rsmooth.defenses.stability import stability_penalty
from tests.defenses.published import cases, log_probs
from tests.training.helpers import CLASSES, trained

SHORT = {"epochs": 2, "batch_size": 10, "lr": 0.05}


def test_the_penalty_is_the_cross_entropy_to_the_clean_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(5, 1, CLASSES, generator=generator, dtype=torch.float64)
    noisy = torch.randn(5, 3, CLASSES, generator=generator, dtype=torch.float64)
    soft = clean[:, 0].softmax(1)
    expected = sum(cross_entropy(noisy[:, i], soft, reduction="none") for i in range(3)) / 3
    found = stability_penalty(clean.log_softmax(2), noisy.log_softmax(2))
    torch.testing.assert_close(found, expected)


CASES = cases("stability", "stability")


@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_that_of_the_authors(name: str) -> None:
    case = CASES[name]
    (clean, of_clean), (noisy, of_noisy) = map(
        log_probs, (case["logits_clean"].unsqueeze(1), case["logits_noisy"])
    )
    loss = stability_loss(of_clean, of_noisy, case["y"], weight=float(case["lbd"]))
    torch.testing.assert_close(loss, case["loss_per_image"], rtol=0, atol=1e-9)
    loss.mean().backward()
    torch.testing.assert_close(clean.grad, case["grad_clean"].unsqueeze(1), rtol=0, atol=1e-8)
    torch.testing.assert_close(noisy.grad, case["grad_noisy"], rtol=0, atol=1e-8)


def test_gradients_flow_through_the_soft_label() -> None:
    clean = torch.zeros(2, 1, CLASSES, requires_grad=True)
    noisy = torch.randn(2, 1, CLASSES, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    stability_penalty(clean.log_softmax(2), noisy).sum().backward()
    assert clean.grad is not None
    assert bool(clean.grad.any())


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_weight_changes_the_result(weight: float) -> None:
    found = trained(Stability(stability_weight=weight, **SHORT))
    assert not torch.allclose(found, trained(Stability(**SHORT)))
    assert not torch.allclose(found, trained(Trainer(**SHORT)))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_out_of_range_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=f"expected stability_weight to be a .*, got {weight}"):
        Stability(stability_weight=weight)
