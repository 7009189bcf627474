"""FT-CADIS: the authors' loss, and how it follows from CAT-RS' parts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth import SmoothAdvPGD
from rsmooth.defenses import FTCadis, ftcadis_loss
from rsmooth.defenses.catrs import divergence
from tests.defenses.published import cases, log_probs
from tests.training.helpers import classifier, trained

LOSSES = cases("ftcadis", "ftcadis")
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "num_noise": 2}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_the_authors(name: str) -> None:
    case = LOSSES[name]
    clean, of_clean = log_probs(case["logits_clean"])
    adversarial, of_adversarial = log_probs(case["logits_adv"])
    options = {"weight": float(case["lbd"]), "warm_start": bool(case["warm_start"])}
    loss = ftcadis_loss(of_clean, of_adversarial, case["y"], **options)  # type: ignore[arg-type]
    torch.testing.assert_close(loss, case["loss_per_image"], rtol=0, atol=1e-9)
    loss.mean().backward()
    torch.testing.assert_close(clean.grad, case["grad_clean"], rtol=0, atol=1e-8)
    torch.testing.assert_close(adversarial.grad, case["grad_adv"], rtol=0, atol=1e-8)


def test_no_gradient_is_nan() -> None:
    """Where probabilities of the target underflow, in float32."""
    logits = torch.tensor([[[400.0, 0.0, -300.0], [350.0, 10.0, -200.0]]]).requires_grad_()
    answers = logits.log_softmax(dim=2)
    for y in (torch.tensor([0]), torch.tensor([2])):
        (gradient,) = torch.autograd.grad(
            ftcadis_loss(answers, answers, y).sum(), logits, retain_graph=True
        )
        assert bool(gradient.isfinite().all())


def test_the_search_is_against_the_mean_answer_of_the_first_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And finds noise under which the answers are further from it."""
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def note(clean: Tensor, adversarial: Tensor, *rest: Any) -> Tensor:
        mean = clean.detach().exp().mean(dim=1)
        seen.append((mean, clean.detach(), adversarial.detach()))
        return ftcadis_loss(clean, adversarial, *rest)

    monkeypatch.setattr("rsmooth.defenses.ftcadis.ftcadis_loss", note)
    trained(FTCadis(epsilon=0.5, **SHORT), classifier("mlp"))
    for mean, clean, adversarial in seen:
        gain = divergence(mean, adversarial) - divergence(mean, clean)
        assert float(gain.mean()) > 0


def test_what_changes_the_result() -> None:
    base = trained(FTCadis(**SHORT), classifier("mlp"))
    for options in ({"weight": 0.0}, {"epsilon": 0.5}, {"warm_start": False}):
        assert not torch.equal(trained(FTCadis(**SHORT, **options), classifier("mlp")), base)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected no attack for FTCadis, got PGD"):
        FTCadis(attack=SmoothAdvPGD(epsilon=0.5, steps=2))
    for name in ("epsilon", "steps", "weight"):
        with pytest.raises(ValueError, match=f"expected {name} to be a number >= 0, got -1"):
            FTCadis(**{name: -1})  # type: ignore[arg-type]


def test_both_passes_are_over_the_image_plus_its_noise() -> None:
    """Without a step of the search, the worst noise is the plain one."""
    x, noise, seen = torch.rand(3, 1, 2, 2), torch.randn(3, 2, 1, 2, 2), list[Tensor]()

    def log_probs(points: Tensor) -> Tensor:
        seen.append(points)
        return points.flatten(2).log_softmax(dim=2)

    batch: Any = SimpleNamespace(
        x=x, noise=noise, y=torch.tensor([0, 1, 2]), g=None, log_probs=log_probs
    )
    FTCadis(num_noise=2, steps=0).losses(batch)
    assert len(seen) == 2
    assert all(torch.equal(points, x.unsqueeze(1) + noise) for points in seen)
