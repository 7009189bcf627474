"""Specs: options checked against the entry's own signature."""

from __future__ import annotations

import pytest

from rsmooth.config.specs import create, describe_options, split_spec
from rsmooth.registry import ATTACKS, NOISES, RegistryError


def test_a_spec_is_a_name_or_a_mapping() -> None:
    assert split_spec("pgd", "attack") == ("pgd", {})
    assert split_spec({"name": "pgd", "steps": 2}, "attack") == ("pgd", {"steps": 2})
    with pytest.raises(ValueError, match="expected the attack to have a name"):
        split_spec({"steps": 2}, "attack")


def test_options_are_read_as_the_entry_asks() -> None:
    attack = create(ATTACKS, {"name": "pgd", "epsilon": "64/255", "steps": 2.0})
    assert (attack.epsilon, attack.steps) == (64 / 255, 2)
    with pytest.raises(ValueError, match="option steps: expected int, got 'many'"):
        create(ATTACKS, {"name": "pgd", "epsilon": 1, "steps": "many"})


def test_what_is_unknown_or_missing_is_named() -> None:
    with pytest.raises(RegistryError, match="did you mean 'uniform'"):
        create(NOISES, "unifrom")
    with pytest.raises(ValueError, match="did you mean half_width"):
        create(NOISES, {"name": "uniform", "halfwidth": 1})
    with pytest.raises(ValueError, match=r"add e\.g\. --noise\.half_width=VALUE"):
        create(NOISES, "uniform")


def test_the_options_of_an_entry_are_described() -> None:
    assert describe_options(NOISES.get("laplace")) == [("scale", "float", "")]
