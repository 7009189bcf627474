"""What lies beyond the end of a training is said at its end, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsmooth.attacks import PGD, SmoothAdvPGD
from rsmooth.defenses import CatRS, IntervalTraining, Macer, Reweighting, SmoothMix, Trainer
from rsmooth.defenses.preset_files import preset, preset_names, preset_trainer
from rsmooth.registry import TRAINERS
from tests.training.helpers import ATTACK, classifier, images

SHORT: dict[str, Any] = {"epochs": 3, "batch_size": 12}
BOUNDS: dict[str, Any] = {"epsilon": 0.1, "schedule": "cosine", "lr_milestones": ()}


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        (
            Trainer(attack=ATTACK, **SHORT),
            "epsilon ended at 0.15 of 0.5: warmup_epochs=10 is above epochs=3",
        ),
        (
            Trainer(attack=ATTACK, warmup_per="step", warmup_epochs=4, **SHORT),
            "epsilon ended at 0.375 of 0.5: warmup_epochs=4 is above epochs=3",
        ),
        (
            Trainer(attack=ATTACK, warmup_from=3, warmup_epochs=3, **SHORT),
            "epsilon ended at 0 of 0.5: warmup_from=3 is not below epochs=3",
        ),
        (
            IntervalTraining(epochs=1, warmup_from=1, warmup_epochs=1, **BOUNDS),
            "epsilon ended at 0 of 0.1: warmup_from=1 is not below epochs=1",
        ),
        (
            Trainer(schedule="milestones", lr_milestones=(2, 3, 40), **SHORT),
            "the learning rate did not fall at 3, 40 of lr_milestones: epochs=3",
        ),
        (
            SmoothMix(**SHORT),
            "the weight of the mixtures ended at 30% of its full value: warmup_epochs=10 is above "
            "epochs=3",
        ),
        (
            Reweighting(since=3, **SHORT),
            "no image was dropped, weighted or attacked: since=3 is not below epochs=3",
        ),
        (
            Macer(num_noise=4, deferred_until=5, **SHORT),
            "the radius never counted: deferred_until=5 is not below epochs=3",
        ),
        (
            CatRS(epsilon_doubles_at=3, **SHORT),
            "epsilon was not doubled: epsilon_doubles_at=3 is not below epochs=3",
        ),
    ],
)
def test_what_was_not_reached_is_named(trainer: Trainer, said: str) -> None:
    assert trainer.unreached() == [said]


@pytest.mark.parametrize(
    "trainer",
    [
        Trainer(epochs=1),  # no attack that could warm up
        Trainer(epochs=1, attack=PGD(epsilon=0.0, steps=1)),
        Trainer(epochs=3, warmup_epochs=3, attack=ATTACK),
        Trainer(epochs=3, warmup_epochs=3, warmup_from=2, attack=ATTACK),
        Trainer(epochs=3, warmup_epochs=0, attack=ATTACK),
        IntervalTraining(epochs=2, warmup_from=1, warmup_epochs=2, **BOUNDS),
        Trainer(epochs=3, schedule="milestones", lr_milestones=(1, 2)),
        SmoothMix(epochs=10),
        Reweighting(since=2, epochs=3),
        Macer(epochs=1),
        CatRS(epochs=1),
    ],
)
def test_what_was_reached_is_not(trainer: Trainer) -> None:
    assert trainer.unreached() == []


@pytest.mark.parametrize("name", preset_names())
def test_published_recipes_reach_their_ends(name: str) -> None:
    kind = preset_trainer(name) or "smoothadv"
    attack = {"attack": SmoothAdvPGD(epsilon=0.5, steps=2)} if kind == "smoothadv" else {}
    assert TRAINERS.create(kind, **{**attack, **preset(name)}).unreached() == []


def test_it_is_a_remark_on_the_last_epoch_alone(tmp_path: Path) -> None:
    trainer = Trainer(attack=ATTACK, **SHORT)
    history = trainer.fit(classifier(), images(), run_dir=tmp_path, progress=False)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == history
    assert [row.get("remark") for row in history] == [None, None, *trainer.unreached()]
    assert history[-1]["epsilon"] == pytest.approx(0.15)


def test_a_training_that_was_told_to_end_has_none(tmp_path: Path) -> None:
    """It is unfinished: the same call goes on."""
    trainer = Trainer(attack=ATTACK, **SHORT)
    history = trainer.fit(
        classifier(), images(), run_dir=tmp_path, progress=False, on_epoch=lambda row: True
    )
    assert [row.get("remark") for row in history] == [None]
