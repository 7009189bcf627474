"""Options of a recipe that cannot be are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rsmooth.defenses import Trainer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "expected epochs to be an integer >= 1, got 0"),
        ({"lr": -1.0}, "expected lr to be a number > 0"),
        ({"momentum": -0.1}, r"expected momentum to be within \[0, 1\)"),
        ({"momentum": 1.0, "optimizer": "adam"}, r"expected momentum to be within \[0, 1\)"),
        ({"seed": 2**64}, "expected a seed of 64 bits"),
        ({"workers": -1}, "expected workers to be a number >= 0, got -1"),
        (
            {"schedule": "linear"},
            "expected schedule to be one of step, milestones, one-cycle, cosine, got 'linear'",
        ),
        ({"schedule": "milestones"}, "expected lr_milestones with schedule='milestones'"),
        ({"lr_milestones": [5]}, "expected lr_milestones with schedule='milestones'"),
        ({"schedule": "milestones", "lr_milestones": [5, 3]}, "growing epochs >= 1"),
        ({"optimizer": "lion"}, "expected optimizer to be one of sgd, adam, adamw, muon, got"),
        (
            {"optimizer": "adam", "nesterov": True},
            "expected nesterov with optimizer='sgd' or 'muon'",
        ),
        ({"ema_decay": 1.0}, "expected ema_decay to be within"),
        ({"unlabelled_share": 1.0}, r"expected unlabelled_share to be within \(0, 1\), or None"),
        ({"warmup_per": "batch"}, "expected warmup_per to be one of epoch, step, smoothed"),
        ({"warmup_from": 11}, "expected warmup_from <= warmup_epochs, .*, got 11 and 10"),
        ({"warmup_from": -1}, "expected warmup_from to be a number >= 0"),
        ({"precision": "half"}, "expected precision to be one of"),
        ({"num_noise": 9, "batch_size": 8}, "expected num_noise <= batch_size"),
        ({"train_loss": "niave"}, "did you mean 'naive'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, LookupError), match=message):
        Trainer(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attack": "pgd"}, "expected an attack such as"),
        ({"lr": float("inf")}, "expected lr to be a number > 0, got inf"),
        ({"momentum": float("inf")}, r"expected momentum to be within \[0, 1\)"),
        ({"lr": "0.1"}, "expected lr to be a number, got '0.1'"),
        ({"lr": True}, "expected lr to be a number, got True"),
        ({"lr_gamma": None}, "expected lr_gamma to be a number, got None"),
        ({"epochs": True}, "expected epochs to be an integer, got True"),
        ({"augment": "no"}, "expected augment to be true or false, got 'no'"),
        ({"lr_milestones": 5}, "expected lr_milestones to be a list of epochs .*, got 5"),
        ({"lr_milestones": (1.5,)}, r"expected lr_milestones to be a list of .*, got \(1.5,\)"),
        ({"frozen_parts": "12"}, "expected frozen_parts to be a list of names .*, got '12'"),
        ({"frozen_parts": (1,)}, r"expected frozen_parts to be a list of names .*, got \(1,\)"),
        ({"train_loss": 3}, "expected the name of an objective, or a function of .*, got 3"),
    ],
)
def test_trainers_refuse_options_that_cannot_be(options, said):
    with pytest.raises(ValueError, match=said):
        Trainer(**options)


def test_lists_of_any_kind_become_tuples_of_plain_values() -> None:
    trainer = Trainer(schedule="milestones", lr_milestones=np.array([2, 5]), frozen_parts=["a"])
    assert trainer.lr_milestones == (2, 5)
    assert {type(epoch) for epoch in trainer.lr_milestones} == {int}
    assert trainer.frozen_parts == ("a",)
