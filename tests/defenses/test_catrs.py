"""CAT-RS: the authors' loss, search and step, and what it is without its second term."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth import SmoothAdvPGD, SmoothedClassifier
from rsmooth.defenses import CatRS, Trainer, catrs_loss
from rsmooth.defenses.catrs import divergence, worst_noise
from rsmooth.training.batch import Batch
from rsmooth.training.views import Views
from tests.defenses.published import arrays, cases, check_step, log_probs, network
from tests.training.helpers import CLASSES, classifier, images, weights

LOSSES, SEARCHES = (cases("catrs", name) for name in ("catrs", "catrs_attack"))
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "num_noise": 2}
EVEN = torch.full((24, CLASSES), 1 / CLASSES)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_the_authors(name: str) -> None:
    case = LOSSES[name]
    clean, of_clean = log_probs(case["logits_clean"])
    adversarial, of_adversarial = log_probs(case["logits_adv"])
    loss = catrs_loss(
        of_clean, of_adversarial, case["y"], case["soft"], case["k_raw"], float(case["lbd"])
    )
    torch.testing.assert_close(loss, case["loss_per_image"], rtol=0, atol=1e-9)
    loss.mean().backward()
    for found, expected in ((clean.grad, "grad_clean"), (adversarial.grad, "grad_adv")):
        assert found is not None
        theirs = case[expected]
        if name == "tied_copies":  # which of equal copies gets the gradient is the sort's choice
            found, theirs = found.sum(dim=1), theirs.sum(dim=1)
        torch.testing.assert_close(found, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_worst_noise_is_that_of_the_authors(name: str) -> None:
    case = SEARCHES[name]
    g = SmoothedClassifier(network(case), 0.25, 5).eval().requires_grad_(False)
    options = {"epsilon": float(case["epsilon"]), "steps": int(case["steps"])}
    found = worst_noise(g, case["x"], case["soft"], case["noise"], **options)  # type: ignore[arg-type]
    torch.testing.assert_close(found, case["noise_adv"], rtol=0, atol=1e-5)


def test_the_worst_noise_keeps_mean_and_length_and_diverges_further() -> None:
    case = SEARCHES["cifar"]
    g = SmoothedClassifier(network(case), 0.25, 5).eval().requires_grad_(False)
    x, soft, noise = case["x"], case["soft"], case["noise"]
    found = worst_noise(g, x, soft, noise, epsilon=1.0, steps=4)
    before, after = (divergence(soft, g.log_probs(x[:, None] + own)) for own in (noise, found))
    assert bool((after > before).all())
    torch.testing.assert_close(
        found.mean(dim=(2, 3, 4)), noise.mean(dim=(2, 3, 4)), atol=0.2, rtol=0
    )
    for options in ({"epsilon": 0.0, "steps": 4}, {"epsilon": 1.0, "steps": 0}):
        same = worst_noise(g, x, soft, noise, **options)  # type: ignore[arg-type]
        torch.testing.assert_close(same, noise)


def test_a_step_is_that_of_the_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    case = arrays("catrs", "step_catrs")
    m = case["noise"].shape[1]

    def uniform(batch: Batch, purpose: str, count: int) -> Tensor:
        """Numbers of which just k_raw are below any share."""
        below = torch.arange(count) < case["k_raw"].unsqueeze(1)
        return torch.where(below, -1.0, 2.0).double()

    monkeypatch.setattr(Batch, "uniform", uniform)
    options = {"epsilon": float(case["epsilon"]), "steps": int(case["steps"])}
    trainer = CatRS(num_noise=m, weight=float(case["lbd"]), **options)  # type: ignore[arg-type]
    check_step(trainer, case, {"soft_labels": case["soft"]})


def test_folding_before_the_first_pass_would_be_another_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that the test above can fail: the search meets what the first pass has moved."""

    def early(views: Views) -> None:
        views._stale = True
        views.attacked()

    monkeypatch.setattr(Views, "weights_moved", early)
    monkeypatch.setattr(Views, "log_probs", lambda self, points: self._trained.log_probs(points))
    with pytest.raises(AssertionError):
        test_a_step_is_that_of_the_authors(monkeypatch)


def test_copies_are_kept_as_often_as_they_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A binomial draw: its mean over 24 images, 60 epochs, within 5 standard errors (6e-7)."""
    seen: list[tuple[Tensor, Tensor]] = []

    def note(clean: Tensor, adversarial: Tensor, *rest: Any) -> Tensor:
        y, kept = rest[0], rest[2]
        seen.append(((clean.argmax(dim=2) == y[:, None]).double().mean(dim=1), kept))
        return catrs_loss(clean, adversarial, *rest)

    monkeypatch.setattr("rsmooth.defenses.catrs.catrs_loss", note)
    options: dict[str, Any] = {**SHORT, "num_noise": 4, "epochs": 60, "lr": 1e-9, "steps": 0}
    CatRS(**options).fit(classifier("mlp"), images(), extras={"soft_labels": EVEN}, progress=False)
    share, kept = (torch.cat(part) for part in zip(*seen, strict=True))
    error = (4 * share * (1 - share)).sum().sqrt()
    assert 0 < share.mean() < 1
    assert abs(float(kept.sum() - 4 * share.sum())) <= 5 * float(error)
    assert bool(((kept == 4) | (share < 1)).all())


def test_without_weight_and_with_all_copies_it_is_gaussian_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But for the statistics of batch norm, which the second pass moves too."""
    monkeypatch.setattr(
        Batch, "uniform", lambda self, purpose, m: torch.full((len(self.x), m), -1.0)
    )
    plain, ours, other = (classifier("mlp") for _ in range(3))
    Trainer(**SHORT).fit(plain, images(), progress=False)
    fit: dict[str, Any] = {"extras": {"soft_labels": EVEN}, "progress": False}
    CatRS(weight=0.0, **SHORT).fit(ours, images(), **fit)
    CatRS(**SHORT).fit(other, images(), **fit)
    torch.testing.assert_close(weights(ours), weights(plain))
    assert not torch.allclose(weights(other), weights(plain))


def test_epsilon_may_double_late() -> None:
    fit: dict[str, Any] = {"extras": {"soft_labels": EVEN}, "progress": False}
    found = []
    for options in ({}, {"epsilon_doubles_at": 2}, {"epsilon_doubles_at": 1}, {"epsilon": 2.0}):
        g = classifier("mlp")
        CatRS(**{**SHORT, **options}).fit(g, images(), **fit)
        found.append(weights(g))
    assert torch.equal(found[0], found[1])
    assert len({tuple(own.tolist()) for own in found}) == 3
    g = classifier("mlp")
    CatRS(**{**SHORT, "epsilon_doubles_at": 0}).fit(g, images(), **fit)
    assert torch.equal(weights(g), found[3]), "from the first step of that epoch on"


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected no attack for CatRS, got PGD"):
        CatRS(attack=SmoothAdvPGD(epsilon=0.5, steps=2))
    for name in ("votes", "epsilon", "steps", "weight", "epsilon_doubles_at"):
        with pytest.raises(ValueError, match=f"expected {name} to be .*, got -1"):
            CatRS(**{name: -1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected extras\['soft_labels'\] for CatRS, got none"):
        CatRS(**SHORT).fit(classifier(), images(), progress=False)


@pytest.mark.parametrize("soft", [torch.ones(3, 1), torch.ones(2, 4), torch.ones(4)])
def test_columns_that_would_be_broadcast_are_refused(soft: Tensor) -> None:
    answers, y = torch.zeros(3, 2, 4), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"expected soft_labels of shape \(3, 4\), one row per im"):
        catrs_loss(answers, answers, y, soft, y)
    with pytest.raises(ValueError, match=r"expected kept of shape \(3,\), one row per image, got"):
        catrs_loss(answers, answers, y, torch.ones(3, 4), y[:1])
