"""Presets: options of the trainer, by name."""

from __future__ import annotations

import pytest

from rsmooth import SmoothAdvPGD
from rsmooth.defenses import Trainer, preset, preset_names, preset_trainer
from rsmooth.registry import TRAINERS


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_options_of_their_trainer(name: str) -> None:
    options = preset(name)
    trainer = TRAINERS.get(preset_trainer(name) or "gaussian")(**options)
    for option, value in options.items():
        assert getattr(trainer, option) == (tuple(value) if isinstance(value, list) else value)


def test_published_settings_are_those_of_the_papers_repositories() -> None:
    """One number of each, by another way than the file: as the commands there spell them."""
    macer, rerun = preset("macer-cifar10-0.25"), preset("macer-cifar10-1.0")
    assert (macer["batch_size"] // macer["num_noise"], macer["weight"]) == (64, 12)
    assert (rerun["batch_size"] // rerun["num_noise"], rerun["weight"]) == (256, 12)
    joint = preset("consistency-smoothadv-cifar10-0.25")
    assert joint["attack"] == SmoothAdvPGD(epsilon=255 / 256, steps=10)
    assert (joint["num_noise"], joint["consistency_weight"]) == (4, 2)
    assert [preset(f"cat-rs-cifar10-{s}")["weight"] for s in ("0.25", "0.5", "1.0")] == [0.5, 1, 2]
    assert preset("smoothmix-cifar10-1.0")["step_size"] == 2.0
    assert preset("consistency-imagenet-1.0")["entropy_weight"] == 0.1
    assert preset("reweighting-cifar10-0.5")["since"] == 70
    methods = {preset_trainer(name) for name in preset_names()} - {None}
    published = {"macer", "smoothmix", "cat-rs", "ft-cadis", "reweighting"}
    assert methods == published | {"consistency", "stability"}


def test_the_trainers_defaults_are_the_paper_preset() -> None:
    paper, default = Trainer(**preset("paper")), Trainer()
    differing = {name for name in preset("paper") if getattr(paper, name) != getattr(default, name)}
    assert differing == {"augment", "precision"}


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"a preset among digits, fast, finetune, overnight, paper, or .*, "
        r"got 'papr'; did you mean paper\?",
    ):
        preset("papr")
