"""MACER: the authors' numbers, gradients that are numbers, and what it is without its hinge."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth import SmoothAdvPGD, smoothadv
from rsmooth.defenses import Macer, Trainer, macer_loss
from tests.defenses.published import Case, cases, log_probs
from tests.training.helpers import trained

CASES = cases("macer", "macer")
SHORT: dict[str, Any] = {"num_noise": 4, "epochs": 3, "batch_size": 12, "lr": 0.02}


def options(case: Case) -> dict[str, float]:
    names = {"sigma": "sigma", "beta": "beta", "gamma": "gamma", "weight": "lbd"}
    return {ours: float(case[theirs]) for ours, theirs in names.items()}


@pytest.mark.parametrize("name", [name for name in CASES if name != "tie"])
def test_the_loss_is_that_of_the_authors(name: str) -> None:
    """Of exactly equal largest classes (tie) torch's top-k may take either."""
    case = CASES[name]
    logits, answers = log_probs(case["logits"])
    loss = macer_loss(answers, case["y"], **options(case))
    weight = options(case)["weight"]
    each = case["class_per_image"] + weight * case["robust_per_image"]
    torch.testing.assert_close(loss, each, rtol=0, atol=1e-9)
    loss.mean().backward()
    torch.testing.assert_close(logits.grad, case["grad"], rtol=0, atol=1e-8)


def test_no_gradient_is_nan() -> None:
    """Certain answers, right and wrong, and a second class that underflows, in float32."""
    logits = torch.tensor([[200.0, 0.0, 0.0], [0.0, 200.0, 0.0], [9.0, 3.0, 0.0], [6.4, 0.0, 0.0]])
    asking = logits.unsqueeze(1).repeat(1, 3, 1).requires_grad_()
    loss = macer_loss(asking.log_softmax(dim=2), torch.zeros(4, dtype=torch.int64), 0.25)
    assert bool(loss.isfinite().all())
    loss.sum().backward()
    assert asking.grad is not None
    assert bool(asking.grad.isfinite().all())


def test_without_the_hinge_it_is_the_smoothadv_loss() -> None:
    case = CASES["plain"]
    answers = case["logits"].log_softmax(dim=2)
    plain = smoothadv(answers, case["y"])
    found = macer_loss(answers, case["y"], sigma=0.25, weight=0.0)
    torch.testing.assert_close(found, plain, rtol=0, atol=1.01e-10 * float(plain.exp().max()))


@pytest.mark.parametrize("change", [{"weight": 0.0}, {"deferred_until": 3}])
def test_until_the_radius_counts_the_class_term_alone_trains(change: dict[str, Any]) -> None:
    plain = trained(Trainer(train_loss="smoothadv", **SHORT))
    torch.testing.assert_close(trained(Macer(**change, **SHORT)), plain, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(trained(Macer(**SHORT)), plain, rtol=1e-3)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected no attack for Macer, got PGD"):
        Macer(attack=SmoothAdvPGD(epsilon=0.5, steps=2))
    for name in ("beta", "gamma", "weight", "deferred_until"):
        with pytest.raises(ValueError, match=f"expected {name} to be a number >= 0, got -1"):
            Macer(**{name: -1})  # type: ignore[arg-type]
    answers = torch.zeros(3, 2, 4)
    for y, shape in ((torch.zeros(2), answers), (torch.zeros(3), answers[0])):
        with pytest.raises(ValueError, match=r"expected labels \(B,\) and log-probabilities"):
            macer_loss(shape, y.long(), 0.25)
