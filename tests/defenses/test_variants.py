"""The orders of noise and attack: identities between them, and what each one trains on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from rsmooth.attacks import DDN, PGD, SmoothAdvPGD
from rsmooth.attacks.base import Attack
from rsmooth.defenses import (
    GaussianAugmentation,
    NoiseThenPerturb,
    PerturbBesideNoise,
    PerturbThenNoise,
    SmoothAdv,
    Trainer,
)
from tests.training.helpers import CLASSES, classifier, images, trained

SHORT = {"epochs": 2, "batch_size": 10, "warmup_epochs": 0, "lr": 0.05}
BASE, SMOOTHED = PGD(epsilon=0.5, steps=2), SmoothAdvPGD(epsilon=0.5, steps=2)


def batch(m: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    data = images(6)
    noise = (
        torch.randn(6, m, 1, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(1)) * 0.25
    )
    return data.images.to(dtype) / 255, data.labels, noise


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize(
    "attack", [replace(BASE, epsilon=0.0), replace(SMOOTHED, epsilon=0.0)], ids=["(2)", "(4)"]
)
def test_without_a_budget_the_attack_changes_nothing_bitwise(m: int, attack: Attack) -> None:
    assert torch.equal(
        trained(Trainer(attack=attack, num_noise=m, **SHORT)),
        trained(Trainer(num_noise=m, **SHORT)),
    )


def test_gaussian_is_the_trainer_without_attack() -> None:
    assert torch.equal(trained(GaussianAugmentation(**SHORT)), trained(Trainer(**SHORT)))


def test_order_3_is_order_4_for_one_copy_without_a_box() -> None:
    g = classifier().double().eval()
    x, y, noise = batch(1)
    third = NoiseThenPerturb(attack=BASE).training_points(g, x, y, noise, BASE)
    fourth = SMOOTHED(g, x, y, noise=noise, bounds=None).unsqueeze(1) + noise
    assert torch.allclose(third, fourth, atol=1e-12)
    assert not torch.allclose(third, x.unsqueeze(1) + noise, atol=1e-3)


def test_order_3_perturbs_every_copy_on_its_own() -> None:
    g = classifier().double().eval()
    x, y, noise = batch(3)
    trainer = NoiseThenPerturb(attack=BASE)
    together = trainer.training_points(g, x, y, noise, BASE)
    apart = [trainer.training_points(g, x, y, noise[:, i : i + 1], BASE) for i in range(3)]
    assert torch.allclose(together, torch.cat(apart, dim=1), atol=1e-12)
    norms = (together - x.unsqueeze(1) - noise).flatten(2).norm(dim=2)
    assert torch.allclose(norms, torch.full_like(norms, 0.5))


def test_order_2_does_not_let_the_attack_see_the_noise() -> None:
    g = classifier().double().eval()
    x, y, noise = batch(2)
    points = PerturbThenNoise(attack=BASE).training_points(g, x, y, noise, BASE)
    assert torch.allclose(points, BASE(g, x, y).unsqueeze(1) + noise, atol=1e-12)


def test_order_4_trains_on_the_noise_that_the_attack_saw() -> None:
    g = classifier().double().eval()
    x, y, noise = batch(4)
    points = SmoothAdv(attack=SMOOTHED, num_noise=4).training_points(g, x, y, noise, SMOOTHED)
    assert torch.allclose(points, SMOOTHED(g, x, y, noise=noise).unsqueeze(1) + noise, atol=1e-12)


def test_order_1_keeps_noise_and_attack_in_separate_points() -> None:
    g = classifier().double().eval()
    x, y, noise = batch(2)
    points = PerturbBesideNoise(attack=BASE).training_points(g, x, y, noise, BASE)
    assert torch.allclose(points[:, :2], x.unsqueeze(1) + noise)
    assert torch.allclose(points[:, 2], BASE(g, x, y))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_order_1_weighs_the_two_losses(weight: float) -> None:
    logits, y = (
        torch.randn(5, 3, CLASSES, generator=torch.Generator().manual_seed(2)),
        torch.tensor([0, 1, 2, 0, 1]),
    )
    noisy = sum(cross_entropy(logits[:, i], y, reduction="none") for i in range(2)) / 2
    expected = (1 - weight) * noisy + weight * cross_entropy(logits[:, 2], y, reduction="none")
    trainer = PerturbBesideNoise(attack=BASE, adversarial_weight=weight)
    assert torch.allclose(trainer.loss(logits.log_softmax(2), y), expected)


@pytest.mark.parametrize(
    ("trainer", "attack"),
    [
        (PerturbThenNoise, SMOOTHED),
        (NoiseThenPerturb, SMOOTHED),
        (PerturbBesideNoise, SMOOTHED),
        (SmoothAdv, BASE),
        (SmoothAdv, None),
        (PerturbThenNoise, None),
    ],
)
def test_an_arm_refuses_the_attack_of_another(
    trainer: type[Trainer], attack: Attack | None
) -> None:
    with pytest.raises(
        ValueError, match=r"expected .* to be given an attack with target=.*; target is an option"
    ):
        trainer(attack=attack)


def test_noisy_points_have_no_box_in_which_an_attack_could_round() -> None:
    attack = DDN(epsilon=0.5, steps=2, quantize_levels=256)
    with pytest.raises(ValueError, match=r"attack without a box of pixels.* leave out quantize_le"):
        NoiseThenPerturb(attack=attack)
    PerturbThenNoise(attack=attack)


def test_gaussian_refuses_any_attack() -> None:
    with pytest.raises(ValueError, match="expected no attack for Gaussian augmentation"):
        GaussianAugmentation(attack=BASE)
