"""MACER: the authors' numbers, gradients that are numbers, and what it is without its hinge."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.special import ndtri

from rsmooth import SmoothAdvPGD, smoothadv
from rsmooth.defenses import Macer, Trainer, macer_loss
from rsmooth.noise.distributions import Gaussian, Laplace
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


def test_a_radius_beyond_the_hinge_counts_for_nothing() -> None:
    """A gap of quantiles of 2.36: within a hinge that ends at 2.5, beyond one that ends at 2."""
    answers = torch.tensor([[[2.0, 0.0]]], dtype=torch.float64).log_softmax(dim=2)
    y = torch.zeros(1, dtype=torch.int64)
    share = 1 / (1 + math.exp(-2))
    fit, gap = -math.log(share), 2 * float(ndtri(share))
    for gamma, hinge in ((2.0, 0.0), (2.5, 2.5 - gap)):
        found = macer_loss(answers, y, sigma=0.5, beta=1.0, gamma=gamma, weight=4.0)
        assert found.item() == pytest.approx(fit + hinge, abs=1e-9)


def test_the_radius_counts_from_that_epoch_on() -> None:
    answers = torch.tensor([[[0.5, 0.0]]]).log_softmax(dim=2)
    y, trainer = torch.zeros(1, dtype=torch.int64), Macer(num_noise=1, deferred_until=2)
    for progress, weight in ((1.99, 0.0), (2.0, trainer.weight)):
        batch: Any = SimpleNamespace(
            x=torch.zeros(1, 1), noise=torch.zeros(1, 1, 1), y=y, sigma=0.5, progress=progress
        )
        batch.log_probs = lambda _: answers
        assert torch.equal(trainer.losses(batch), macer_loss(answers, y, 0.5, weight=weight))
    assert float(macer_loss(answers, y, 0.5)) != float(macer_loss(answers, y, 0.5, weight=0.0))


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


def test_noise_without_such_a_radius_is_refused_before_the_first_step() -> None:
    with pytest.raises(ValueError, match=r"expected Gaussian noise for Macer, .* got laplace"):
        Macer().check_noise(Laplace(0.2))
    Macer().check_noise(Gaussian(0.25))
