"""Options of a recipe that cannot be are refused."""

from __future__ import annotations

from typing import Any

import pytest

from rsmooth.defenses import Trainer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "expected epochs to be an integer >= 1, got 0"),
        ({"lr": -1.0}, "expected lr to be a number > 0"),
        ({"momentum": -0.1}, "expected momentum to be a number >= 0"),
        (
            {"schedule": "linear"},
            "expected schedule to be one of step, milestones, one-cycle, cosine, got 'linear'",
        ),
        ({"schedule": "milestones"}, "expected lr_milestones with schedule='milestones'"),
        ({"lr_milestones": [5]}, "expected lr_milestones with schedule='milestones'"),
        ({"schedule": "milestones", "lr_milestones": [5, 3]}, "growing epochs >= 1"),
        ({"optimizer": "lion"}, "expected optimizer to be one of sgd, adam, adamw, got 'lion'"),
        ({"optimizer": "adam", "nesterov": True}, "expected nesterov with optimizer='sgd'"),
        ({"ema_decay": 1.0}, "expected ema_decay to be within"),
        ({"warmup_per": "batch"}, "expected warmup_per to be one of epoch, step"),
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
        ({"momentum": float("inf")}, "expected momentum to be a number >= 0"),
    ],
)
def test_trainers_refuse_options_that_cannot_be(options, said):
    with pytest.raises(ValueError, match=said):
        Trainer(**options)
