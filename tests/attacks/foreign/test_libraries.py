"""Libraries that are there or not, and names in their words and ours."""

import importlib.util
import math

import pytest

from rsmooth.attacks.foreign.libraries import (
    Library,
    hint,
    norm_name,
    plain_options,
    spelled_out,
)
from rsmooth.registry import ATTACKS
from tests.attacks.foreign import fake_library
from tests.attacks.outside import MODULES


@pytest.mark.parametrize("name", MODULES)
def test_a_missing_library_is_one_line_that_names_the_extra(name, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "rsmooth.attacks.foreign.libraries.find_spec",
        lambda module: None if module.split(".")[0] == MODULES[name] else found(module),
    )
    options = {} if name == "autoattack" else {"attack": "PGDL2"}
    with pytest.raises(ImportError, match=rf"pip install 'rsmooth\[{name}\]'") as error:
        ATTACKS.create(name, epsilon=0.5, **options)
    assert "\n" not in str(error.value)


def test_another_package_of_the_same_name_is_not_the_library():
    """On PyPI ``art`` is a package of ASCII pictures."""
    with pytest.raises(ImportError, match="expected the package theirs"):
        Library("json.attacks.evasion", "x", "theirs").load()
    assert Library(fake_library.__name__, "x", "theirs").load() is fake_library
    assert Library("torch", "x", "torch").name.startswith("torch 2.")
    assert Library("torch", "x", "no-such-project").name == "no-such-project"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((spelling, "l2") for spelling in ("l2", "L2", 2, 2.0, "2")),
        *((spelling, "linf") for spelling in ("linf", "Linf", "inf", math.inf)),
        *((spelling, "l1") for spelling in ("L1", 1, 1.0)),
    ],
)
def test_norms_are_known_in_anybodys_spelling(value, name):
    assert norm_name(value, "PGD") == name


@pytest.mark.parametrize("value", ["l3", 3, "", None, True, "lin"])
def test_other_norms_are_refused(value):
    with pytest.raises(ValueError, match="expected the norm l1, l2 or linf for PGD, got "):
        norm_name(value, "PGD")


def test_close_names_are_suggested_whatever_their_case():
    assert hint("pgdl2", ["PGDL2", "CW"], "it has") == "did you mean PGDL2?"
    assert hint("zzz", ["PGDL2", "CW"], "it has") == "it has CW, PGDL2"


def test_greek_letters_may_be_spelled_out():
    def theirs(model, γ=0.05, α_init=1.0, ε=None, steps=10):
        """An attack in the style of adv_lib."""

    given = {"gamma": 0.1, "α_init": 2, "steps": 3}
    assert plain_options(given, theirs, ("model", "ε"), "it") == {"γ": 0.1, "α_init": 2, "steps": 3}
    assert spelled_out("α_init") == "alpha_init"
    for name in ("epsilon", "ε", "model"):
        with pytest.raises(ValueError, match="expected options of it without"):
            plain_options({name: 1}, theirs, ("model", "ε"), "it")
    with pytest.raises(ValueError, match="got 'gama'; did you mean gamma"):
        plain_options({"gama": 1}, theirs, ("model", "ε"), "it")
