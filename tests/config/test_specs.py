"""Specs: options checked against the entry's own signature."""

from __future__ import annotations

from typing import Any

import pytest

from rsmooth.config.specs import create, hints_of, split_spec
from rsmooth.registry import ATTACKS, DATASETS, MODELS, NOISES, TRAINERS, Registry, RegistryError


def test_a_spec_is_a_name_or_a_mapping() -> None:
    assert split_spec("pgd", "attack") == ("pgd", {})
    assert split_spec({"name": "pgd", "steps": 2}, "attack") == ("pgd", {"steps": 2})
    for wrong in ({"steps": 2}, {"name": 3}, {"name": "pgd", 3: 4}, 3, None, ["pgd"]):
        with pytest.raises(ValueError, match="expected the attack to have a name"):
            split_spec(wrong, "attack")  # type: ignore[arg-type]


def test_options_are_read_as_the_entry_asks() -> None:
    attack = create(ATTACKS, {"name": "pgd", "epsilon": "64/255", "steps": 2.0})
    assert (attack.epsilon, attack.steps) == (64 / 255, 2)
    with pytest.raises(ValueError, match="option steps: expected int, got 'many'"):
        create(ATTACKS, {"name": "pgd", "epsilon": 1, "steps": "many"})


@pytest.mark.parametrize(
    ("registry", "spec", "said"),
    [
        (MODELS, {"name": "ensemble", "members": "a,b"}, "such as [first, second], got 'a,b'"),
        (ATTACKS, {"name": "pgd", "epsilon": {"a": 1}, "steps": 1}, "epsilon: expected float, got"),
        (MODELS, {"name": "small-cnn", "width": {"a": 1}}, "width: expected int, got {'a': 1}"),
        (DATASETS, {"name": "npz", "path": 3}, "path: expected a path, got 3"),
        (DATASETS, {"name": "npz", "path": None}, "path: expected a path, got None"),
        (TRAINERS, {"name": "gaussian", "train_loss": 3}, "train_loss: expected a name, got 3"),
        (TRAINERS, {"name": "gaussian", "lr_milestones": ["a"]}, "lr_milestones: expected int"),
        (TRAINERS, {"name": "gaussian", "lr_milestones": [1.5]}, "expected int, got 1.5"),
        (TRAINERS, {"name": "gaussian", "lr_milestones": {"a": 1}}, "expected a list such as"),
        (TRAINERS, {"name": "gaussian", "frozen_parts": [3]}, "frozen_parts: expected str, got 3"),
    ],
)
def test_an_option_of_another_type_is_named(
    registry: Registry, spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        create(registry, spec)
    assert said in str(error.value)


def test_items_of_a_list_and_options_within_an_option() -> None:
    spec = {"name": "gaussian", "schedule": "milestones", "lr_milestones": [2.0, 3]}
    milestones = create(TRAINERS, spec).lr_milestones
    assert [(type(epoch), epoch) for epoch in milestones] == [(int, 2), (int, 3)]
    options = {"rel_stepsize": "64/255", "steps": "2", "abs_stepsize": "0.5"}
    made = create(ATTACKS, {"name": "foolbox", "attack": "L2PGD", "epsilon": 1, "options": options})
    assert made.options == {"rel_stepsize": 64 / 255, "steps": 2, "abs_stepsize": 0.5}


def test_what_is_unknown_or_missing_is_named() -> None:
    with pytest.raises(RegistryError, match="did you mean 'uniform'"):
        create(NOISES, "unifrom")
    with pytest.raises(ValueError, match="did you mean half_width"):
        create(NOISES, {"name": "uniform", "halfwidth": 1})
    with pytest.raises(ValueError, match=r"add e\.g\. --noise\.half_width=VALUE"):
        create(NOISES, "uniform")


def test_the_options_of_an_entry_are_described() -> None:
    assert hints_of(NOISES.get("laplace"))["scale"] is float
