"""Options of a verb from its signature: types, help, and calls by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from rsmooth.certify.settings import CertifySettings
from rsmooth.cli.signature import REQUIRED, call, choices_of, described, options_of, read_as
from rsmooth.cli.verbs import VERBS
from rsmooth.plumbing.values import OnePath, PixelValue, PixelValues, Switch, WholeNumber


@dataclass(frozen=True, kw_only=True)
class Base:
    """Shared.

    seed, device: of the run
    """

    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """Own.

    mode: "a" is ``radius``; "b" is quick. n: samples; at
        most. ValueError for more.
    """

    mode: Literal["a", "b", "c"] = "a"
    n: int = 3
    radius: float | None = None


def verb(*, source: Path, settings: Settings, seed: int = 7, base: Base) -> object:
    """Do it.

    Args:
        source: where from
        seed: of its own
    """
    return source, settings, seed, base


def test_the_options_of_a_verb() -> None:
    options = {option.name: option for option in options_of(verb)}
    assert set(options) == {"source", "mode", "n", "radius", "device", "seed"}
    assert options["source"].default is REQUIRED
    assert options["seed"].help == "of its own"
    assert options["device"].help == "of the run"
    assert options["device"].parameter == "settings"
    assert options["mode"].help == '"a" is ``radius``; "b" is quick'
    assert options["mode"].choices == ("a", "b", "c")
    assert options["seed"].choices == ()
    assert options["n"].help == "samples; at most"
    assert options["radius"].help == "see mode"


def test_a_call_by_name() -> None:
    assert call(verb, {"source": Path("x"), "n": 5, "device": "cpu"}) == (
        Path("x"),
        Settings(n=5, device="cpu"),
        7,
        Base(),
    )
    with pytest.raises(ValueError, match="got 'devise'; did you mean device"):
        call(verb, {"source": Path("x"), "devise": "cpu"})
    with pytest.raises(ValueError, match="expected source, got none"):
        call(verb, {})
    with pytest.raises(ValueError, match="mode to be one of a, b, c, got 'd'; choose one of them"):
        call(verb, {"source": Path("x"), "mode": "d"})
    with pytest.raises(ValueError, match="expected a value of seed, got null; leave it out"):
        call(verb, {"source": Path("x"), "radius": None, "seed": None})


def test_types_that_are_written_in_a_way_of_their_own() -> None:
    assert read_as(float) is PixelValue
    assert read_as(Sequence[float] | None) == PixelValues | None
    assert read_as(Literal["a"]) is str
    assert (read_as(int), read_as(bool), read_as(Path)) == (WholeNumber, Switch, OnePath)


def test_the_choices_of_an_annotation() -> None:
    assert choices_of(Literal["last", "best"]) == ("last", "best")
    assert choices_of(Literal["last", "best"] | None) == ("last", "best")
    assert choices_of(str | None) == choices_of(Path) == choices_of(Literal["a"] | int) == ()


def test_names_within_a_sentence_are_no_options() -> None:
    assert described(["The note: n is large.\n\nn: samples."], {"n", "note"}) == {"n": "samples"}


def test_certification_has_the_options_of_its_settings() -> None:
    """Declared once, in the settings; the model's options of the same name come first."""
    options = {option.name: option.parameter for option in options_of(VERBS.get("certify"))}
    fields = set(CertifySettings.__dataclass_fields__) - {"device", "noise", "design"}
    assert fields <= set(options)
    assert {options[name] for name in fields} == {"settings"}
    assert options["device"] == "model"
