"""Consistency regularisation: the paper's formula, and the authors' numbers of all four forms."""

from __future__ import annotations

import pytest
import torch

from rsmooth.defenses import Consistency, consistency_loss
from rsmooth.defenses.consistency import Form, consistency_penalty
from tests.defenses.published import cases, log_probs
from tests.training.helpers import CLASSES, trained

CASES = cases("consistency", "consistency")
FORMS: list[Form] = ["default", "xent", "kl", "mse"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_every_form_is_that_of_the_authors(name: str, form: Form) -> None:
    case = CASES[name]
    logits, answers = log_probs(case["logits"])
    weights = {"consistency_weight": float(case["lbd"]), "entropy_weight": float(case["eta"])}
    penalty = consistency_penalty(answers, form=form, **weights)
    torch.testing.assert_close(penalty, case[f"reg_{form}_per_image"], rtol=1e-12, atol=1e-9)
    penalty.mean().backward()
    torch.testing.assert_close(logits.grad, case[f"reg_{form}_grad"], rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_the_whole_loss_is_that_of_the_authors(name: str) -> None:
    case = CASES[name]
    logits, answers = log_probs(case["logits"])
    loss = consistency_loss(answers, case["y"], float(case["lbd"]), float(case["eta"])).mean()
    torch.testing.assert_close(loss, case["total"], rtol=1e-12, atol=1e-9)
    loss.backward()
    torch.testing.assert_close(logits.grad, case["total_grad"], rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
def test_no_gradient_is_nan_at_logit_gaps_of_hundreds(form: Form) -> None:
    """Where the mean probability underflows to 0 in float32."""
    logits = torch.tensor([[[400.0, 0.0, -300.0], [350.0, 10.0, -200.0]]]).requires_grad_()
    y = torch.tensor([2])
    consistency_loss(logits.log_softmax(dim=2), y, form=form).sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_the_forms_train_to_different_weights() -> None:
    """Xent is the default with equal weights, and kl the one without entropy."""
    short = {"epochs": 1, "batch_size": 12, "lr": 0.05, "consistency_weight": 2.0}
    found = {form: trained(Consistency(form=form, **short)) for form in FORMS}
    same = {"xent": 2.0, "kl": 0.0}
    for form, weight in same.items():
        torch.testing.assert_close(
            found[form], trained(Consistency(entropy_weight=weight, **short))
        )
    assert len({tuple(own.tolist()) for own in found.values()}) == 4
    with pytest.raises(
        ValueError, match="expected form to be one of default, xent, kl, mse, got 'l"
    ):
        Consistency(form="l2")  # type: ignore[arg-type]


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


def test_forms_that_cannot_be_computed_are_refused() -> None:
    one, y = torch.zeros(3, 1, 4), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="expected two copies to compare by form='mse', got"):
        consistency_loss(one, y, form="mse")
    with pytest.raises(ValueError, match="expected form to be one of default, xent, kl, mse"):
        consistency_loss(one, y, form="l2")  # type: ignore[arg-type]
