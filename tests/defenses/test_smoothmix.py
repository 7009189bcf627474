"""SmoothMix: the authors' loss, attack and steps, and what it is without its mixtures."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth import SmoothAdvPGD, SmoothedClassifier
from rsmooth.defenses import SmoothMix, Trainer, smoothmix_loss
from rsmooth.training.batch import Batch
from tests.defenses.published import Case, arrays, cases, check_step, log_probs, network
from tests.training.helpers import classifier, trained

LOSSES, ATTACKS = (cases("smoothmix", name) for name in ("smoothmix", "smoothmix_attack"))
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "num_noise": 2}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_the_authors(name: str) -> None:
    case = LOSSES[name]
    clean, of_clean = log_probs(case["logits_clean"])
    mixed, of_mixed = log_probs(case["logits_mix"])
    weight = float(case["eta"] * case["warmup"])
    loss = smoothmix_loss(of_clean, of_mixed, case["y"], case["lam"], weight=weight)
    torch.testing.assert_close(loss, case["loss_per_image"], rtol=0, atol=1e-9)
    loss.mean().backward()
    torch.testing.assert_close(clean.grad, case["grad_clean"], rtol=0, atol=1e-8)
    torch.testing.assert_close(mixed.grad, case["grad_mix"], rtol=0, atol=1e-8)


def options(case: Case, step: str = "alpha") -> dict[str, Any]:
    whole = {"steps": int(case["steps"]), "mix_steps": int(case["mix_step"])}
    return {**whole, "step_size": float(case[step]), "num_noise": case["noise"].shape[1]}


class Found(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("name", ATTACKS)
def test_the_points_are_those_of_the_authors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image itself after mix_steps, and the attacked one: mixtures with shares of 0 and 1."""
    case, passes = ATTACKS[name], []
    radius = float(case["maxnorm_s"])
    trainer = SmoothMix(**options(case), warmup_epochs=0)
    steps = trainer.mix_steps if trainer.mix_steps < trainer.steps else 0
    full = steps * trainer.step_size
    warm = radius / full if steps else 1.0
    monkeypatch.setattr(SmoothMix, "grown", lambda *_: warm)

    class Looking:
        x, y, noise = case["x"], case["y"], case["noise"]
        g = SmoothedClassifier(network(case), 0.25, 5).eval()
        progress = 0.0

        def uniform(self, *_: Any) -> torch.Tensor:
            return torch.full((len(self.x), 1), 2.0, dtype=torch.float64)  # a share of 1

        def log_probs(self, points: torch.Tensor) -> torch.Tensor:
            passes.append(points - self.noise)
            return self.g.log_probs(points)

    trainer.losses(Looking())  # type: ignore[arg-type]
    (start, mixed) = (points[:, 0] for points in passes)
    torch.testing.assert_close(start, case["init"], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed, case["adv"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["step_smoothmix_m0", "step_smoothmix_m1"])
def test_a_step_is_that_of_the_authors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = arrays("smoothmix", name)
    monkeypatch.setattr(SmoothMix, "grown", lambda *_: float(case["warmup"]))
    monkeypatch.setattr(Batch, "uniform", lambda self, *_: 2 * case["lam"].unsqueeze(1))
    check_step(SmoothMix(**options(case), weight=float(case["eta"])), case)


def test_without_weight_it_is_gaussian_training() -> None:
    """But for the statistics of batch norm, which the second pass moves too."""
    plain = trained(Trainer(**SHORT), classifier("mlp"))
    mixed = trained(SmoothMix(weight=0.0, **SHORT), classifier("mlp"))
    torch.testing.assert_close(mixed, plain)
    assert not torch.allclose(trained(SmoothMix(**SHORT), classifier("mlp")), plain)


def test_no_gradient_is_nan() -> None:
    """Certain answers, and shares at both ends, in float32."""
    logits = torch.tensor([[[300.0, 0.0, -50.0]], [[300.0, 0.0, -50.0]]]).requires_grad_()
    answers = logits.log_softmax(dim=2)
    y = torch.zeros(2, dtype=torch.int64)
    smoothmix_loss(answers, answers, y, torch.tensor([0.0, 0.5])).sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_options_out_of_range_are_refused() -> None:
    answers, y = torch.zeros(3, 2, 4), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"expected mixing of shape \(3,\), one row per im"):
        smoothmix_loss(answers, answers, y, torch.tensor(0.5))
    with pytest.raises(ValueError, match="expected no attack for SmoothMix, got PGD"):
        SmoothMix(attack=SmoothAdvPGD(epsilon=0.5, steps=2))
    for name, value in (("steps", 0), ("step_size", 0.0), ("mix_steps", -1), ("weight", -1.0)):
        with pytest.raises(ValueError, match=f"expected {name} to be .*, got {value}"):
            SmoothMix(**{name: value})  # type: ignore[arg-type]


def test_the_mixtures_count_from_the_epoch_at_which_the_warm_up_begins() -> None:
    late = SmoothMix(**SHORT, warmup_from=2, warmup_epochs=2)
    assert torch.equal(trained(late), trained(SmoothMix(**SHORT, weight=0.0)))
