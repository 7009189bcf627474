"""The recipe: every option has its effect, and soft labels are the expected loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth import PGD, SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.training.recipe import expected_loss
from tests.attacks.test_base import Shift
from tests.training.helpers import BASELINE, CLASSES, trained


@pytest.mark.parametrize("kind", ["naive", "smoothadv"])
def test_soft_labels_are_the_expected_loss(kind: str) -> None:
    logits = torch.randn(4, 1, CLASSES, generator=torch.Generator().manual_seed(0))
    soft = torch.rand(4, CLASSES, generator=torch.Generator().manual_seed(1)).softmax(1)
    loss = expected_loss(lambda y: Trainer(train_loss=kind).loss(logits.log_softmax(2), y), soft)
    assert torch.allclose(loss, cross_entropy(logits[:, 0], soft, reduction="none"), atol=1e-6)
    one_hot = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 0]), CLASSES).float()
    assert torch.allclose(
        expected_loss(lambda y: Trainer().loss(logits.log_softmax(2), y), one_hot),
        expected_loss(
            lambda y: Trainer().loss(logits.log_softmax(2), y), torch.tensor([0, 1, 2, 0])
        ),
    )


def test_an_attack_towards_the_labels_is_refused_at_construction() -> None:
    for attack in (PGD, SmoothAdvPGD):
        with pytest.raises(ValueError, match="expected an untargeted attack, since y are the true"):
            Trainer(attack=attack(epsilon=0.5, steps=1, targeted=True))


def test_training_refuses_an_attack_that_leaves_epsilon() -> None:
    far = Shift(epsilon=0.5, by=0.6)
    with pytest.raises(ValueError, match=r"perturbations of linf norm up to epsilon=0\.5, got one"):
        trained(Trainer(**{**BASELINE, "attack": far, "warmup_epochs": 0}))


OPTIONS = {
    "attack": None,
    "num_noise": 1,
    "train_loss": "smoothadv",
    "epochs": 3,
    "batch_size": 8,
    "lr": 0.02,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "schedule": "one-cycle",
    "lr_step_epochs": 2,
    "lr_gamma": 0.5,
    "warmup_epochs": 3,
    "clip_grad_norm": 0.01,
    "augment": True,
    "seed": 1,
    "precision": "bfloat16",
    "budget_seconds": 0.3,
}


@pytest.mark.filterwarnings("ignore:lr_step_epochs=1 has no effect")  # of the baseline, one-cycle
@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_changes_the_result(name: str) -> None:
    assert not torch.allclose(
        trained(Trainer(**{**BASELINE, name: OPTIONS[name]})),
        trained(Trainer(**BASELINE)),
        rtol=1e-6,
        atol=1e-8,
    )
