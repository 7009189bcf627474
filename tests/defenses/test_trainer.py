"""The Trainer: it learns with every method, and its attack warms up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth.attacks import DDN, Attack, Problem, Victim
from rsmooth.defenses import PseudoLabels, Trainer, TrainingCollapsed
from rsmooth.objectives import naive
from rsmooth.registry import TRAINERS
from tests.training.helpers import build, classifier, extras_for, images, suited, trained, weights

SHORT = {"epochs": 2, "batch_size": 10, "warmup_epochs": 0, "lr": 0.05}


@pytest.mark.parametrize("name", TRAINERS.own_names())
def test_every_registered_trainer_learns(name: str) -> None:
    """Against an attack that is too weak to prevent it."""
    chosen = build(name, epochs=12, batch_size=12, lr=0.1, warmup_epochs=0)
    if chosen.optimizer == "adam":
        chosen = replace(chosen, lr=0.01)
    if chosen.attack is not None:
        chosen = replace(chosen, attack=replace(chosen.attack, epsilon=0.1))
    g, data = suited(chosen), images()
    history = chosen.fit(g, data, extras=extras_for(chosen, data), progress=False)
    first, last = history[0], history[-1]
    # A term that counts for the images that are right lets a loss rise while a run goes well.
    better = last.get("train_accuracy", 0) > max(0.7, first.get("train_accuracy", 0) + 0.1)
    assert last["train_loss"] < 0.8 * first["train_loss"] or better
    assert not g.training


@pytest.mark.parametrize("name", TRAINERS.own_names())
def test_every_registered_trainer_takes_bfloat16_and_a_time_budget(name: str) -> None:
    # Bounds are not sound in fewer bits.
    precision = "float32" if TRAINERS.get(name).without_noise else "bfloat16"
    options: dict[str, Any] = {"precision": precision, "budget_seconds": 0.1, "lr": 0.05}
    chosen, data = build(name, epochs=4, batch_size=12, **options), images()
    g = suited(chosen)
    history = chosen.fit(g, data, extras=extras_for(chosen, data), progress=False)
    assert {row["precision"] for row in history} == {precision}
    assert sum(row["steps"] for row in history) >= 1
    assert bool(weights(g).isfinite().all())


# Every registered trainer, and the options that lead another way through it.
WAYS = [
    *((name, {}) for name in TRAINERS.own_names()),
    ("denoiser", {"objective": "classification"}),
    ("denoiser", {"objective": "stability"}),
    ("ft-cadis", {"behind_denoiser": True}),
]


def one_epoch(name: str, options: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """The weights after an epoch of a base of that type, which they still have."""
    chosen, data = build(name, epochs=1, batch_size=12, lr=0.01, **options), images()
    g = suited(build("denoiser") if options.get("behind_denoiser") else chosen)
    g.base.to(dtype)
    extras = extras_for(chosen, data)
    chosen.fit(g, data, validation=images(6, seed=1), extras=extras, progress=False)
    assert {own.dtype for own in g.base.parameters()} == {dtype}
    return weights(g)


@pytest.mark.parametrize(("name", "options"), WAYS)
def test_every_registered_trainer_takes_weights_of_float64(
    name: str, options: dict[str, Any]
) -> None:
    """And computes in them the same but for rounding."""
    usual = one_epoch(name, options, torch.float32)
    double = one_epoch(name, options, torch.float64)
    assert not torch.equal(usual, double)
    torch.testing.assert_close(double, usual, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), WAYS)
def test_one_of_bfloat16_trains_or_is_refused_before_the_first_step(
    name: str, options: dict[str, Any]
) -> None:
    if TRAINERS.get(name).without_noise:
        with pytest.raises(ValueError, match=r"weights are all float32 .* got torch.bfloat16; con"):
            one_epoch(name, options, torch.bfloat16)
    else:
        assert bool(one_epoch(name, options, torch.bfloat16).isfinite().all())


# Of the options that a method's text calls published.
PUBLISHED: dict[str, dict[str, Any]] = {
    "consistency": {"num_noise": 2, "consistency_weight": 10.0, "entropy_weight": 0.5},
    "stability": {"stability_weight": 2.0},
    "macer": {"num_noise": 16, "batch_size": 1024, "beta": 16.0, "gamma": 8.0, "weight": 12.0},
    "smoothmix": {"num_noise": 2, "steps": 4, "step_size": 0.5, "mix_steps": 0, "weight": 5.0},
    "cat-rs": {"num_noise": 4, "epsilon": 1.0, "steps": 4, "votes": 10_000},
    "ft-cadis": {"num_noise": 4, "epsilon": 64 / 256 / 2, "steps": 4, "warm_start": True},
    "reweighting": {"since": 60, "dropping_copies": 100, "every": 10, "weighting_copies": 16},
    "rst-stab": {"stability_weight": 6.0, "unlabelled_share": 0.5, "epochs": 400},
    "denoiser": {"optimizer": "adam", "lr": 1e-3, "epochs": 90, "lr_step_epochs": 30},
    "ibp": {"epochs": 160, "lr_milestones": (120, 140), "warmup_from": 1, "warmup_epochs": 81},
    "wong-kolter": {"epochs": 60, "lr_milestones": (30, 40, 50), "warmup_epochs": 20},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_are_the_defaults(name: str) -> None:
    fields = TRAINERS.get(name).__dataclass_fields__
    assert {option: fields[option].default for option in PUBLISHED[name]} == PUBLISHED[name]


def twice(log_probs: Tensor, y: Tensor) -> Tensor:
    return 2 * naive(log_probs, y)


@pytest.mark.parametrize("name", TRAINERS.own_names())
def test_every_registered_trainer_heeds_or_refuses_a_training_loss(name: str) -> None:
    options: dict[str, Any] = {"epochs": 1, "batch_size": 12, "lr": 0.05, "precision": "float32"}
    usual, data = build(name, **options), images(12)
    try:
        other = replace(usual, train_loss=twice)
    except ValueError as refusal:
        assert str(refusal).startswith("expected train_loss='naive' for")  # noqa: PT017
        return
    assert not torch.equal(*(trained(each, suited(each), data) for each in (usual, other)))


@pytest.mark.filterwarnings("ignore:the mean loss of epoch")
@pytest.mark.parametrize("name", TRAINERS.own_names())
def test_every_registered_trainer_is_stopped_where_it_diverges(name: str) -> None:
    """With a learning rate at which nothing can be learnt."""
    chosen, data = build(name, epochs=20, batch_size=12, lr=1e9), images()
    if chosen.optimizer == "adam":  # whose steps are as long as lr says, whatever the gradient
        chosen = replace(chosen, lr=1e30)
    g = suited(chosen, "mlp")
    with pytest.raises(TrainingCollapsed):
        chosen.fit(g, data, extras=extras_for(chosen, data), progress=False)


SEEN: list[tuple[float, Tensor]] = []


@dataclass(frozen=True, kw_only=True)
class Spy(Attack):
    """Notes its budget and the images, and perturbs nothing."""

    def _perturb(self, victim: Victim, problem: Problem) -> Tensor:
        SEEN.append((self.epsilon, problem.x))
        return problem.x


def test_the_attacks_budget_warms_up_and_the_attack_itself_stays_as_it_is() -> None:
    SEEN.clear()
    attack = Spy(epsilon=1.0)
    history = Trainer(attack=attack, epochs=5, batch_size=24, warmup_epochs=4).fit(
        classifier(), images(), progress=False
    )
    assert [epsilon for epsilon, _ in SEEN] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [row["epsilon"] for row in history] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert attack.epsilon == 1.0


@pytest.mark.parametrize(
    "attack", [DDN(epsilon=0.3, steps=2), DDN(epsilon=0.3, steps=2, target="smoothed")]
)
def test_ddn_trains_too(attack: Attack) -> None:
    assert trained(Trainer(attack=attack, num_noise=2, **SHORT)).isfinite().all()


def test_fit_returns_the_metrics_of_each_epoch_and_leaves_eval_mode() -> None:
    g = classifier()
    history = Trainer(**SHORT).fit(g, images(), progress=False)
    assert [row["epoch"] for row in history] == [0, 1]
    assert {"train_loss", "train_accuracy", "lr", "epsilon", "seconds"} <= set(history[0])
    assert not g.training


def test_extras_and_unlabelled_images_do_not_go_together() -> None:
    extras = {"weight": torch.ones(24)}
    with pytest.raises(ValueError, match=r"expected extras or unlabelled images, got both .weight"):
        Trainer().fit(classifier(), images(), extras=extras, unlabelled=PseudoLabels(images(6)))
