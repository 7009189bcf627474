"""Presets: options of the trainer, by name."""

from __future__ import annotations

import pytest

from rsmooth.defenses import Trainer, preset, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_options_of_the_trainer(name: str) -> None:
    trainer = Trainer(**preset(name))
    assert all(getattr(trainer, option) == value for option, value in preset(name).items())


def test_the_trainers_defaults_are_the_paper_preset() -> None:
    paper, default = Trainer(**preset("paper")), Trainer()
    differing = {name for name in preset("paper") if getattr(paper, name) != getattr(default, name)}
    assert differing == {"augment", "precision"}


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match="expected a preset among digits, fast, finetune, overnight, paper, got 'papr'",
    ):
        preset("papr")
