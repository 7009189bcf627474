"""Frozen parts neither train nor leave eval mode, and are as before afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.training.parts import frozen_modules, only_training, unfrozen_parameters
from tests.training.helpers import classifier, images

OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 12, "lr": 0.1, "weight_decay": 0.1}


@pytest.mark.parametrize("fold", [True, False])
def test_a_frozen_part_does_not_move_by_a_bit(fold: bool) -> None:
    g = classifier()
    before = {name: value.clone() for name, value in g.base.state_dict().items()}
    trainer = Trainer(
        frozen_parts=["1.0", "1.1"],
        attack=SmoothAdvPGD(epsilon=0.3, steps=1),
        fold_attack=fold,
        **OPTIONS,
    )
    trainer.fit(g, images(), progress=False)
    moved = {name for name, value in g.base.state_dict().items() if not value.equal(before[name])}
    assert not any(name.startswith(("1.0.", "1.1.")) for name in moved)
    assert any(name.startswith("1.3.") for name in moved)
    assert all(parameter.requires_grad for parameter in g.base.parameters())


def test_the_parameters_are_those_outside_that_ask() -> None:
    base = classifier().base
    base[1][3].weight.requires_grad_(False)  # type: ignore[index, union-attr]
    frozen = {id(own) for own in base[1][0].parameters()}  # type: ignore[index, union-attr]
    found = unfrozen_parameters(base, ["1.0"])
    assert not any(id(own) in frozen for own in found)
    everything = list(base.parameters())
    assert len(found) == len(everything) - len(frozen) - 1
    with only_training(base, found):
        assert [own.requires_grad for own in everything] == [
            any(own is other for other in found) for own in everything
        ]
    assert sum(own.requires_grad for own in everything) == len(everything) - 1


def test_unknown_and_whole_parts_are_refused() -> None:
    base = classifier().base
    for names in (["body"], [""]):
        with pytest.raises(ValueError, match="expected frozen_parts to name parts of the base"):
            frozen_modules(base, names)
    with pytest.raises(ValueError, match="expected parameters to train, got none"):
        Trainer(frozen_parts=["1"], **OPTIONS).fit(classifier(), images(), progress=False)
    assert torch.is_tensor(next(base.parameters()))
