"""Calls whose options are the fields of a dataclass."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import pytest
import torch

from rsmooth.certify.cohen import CertifyOptions, certify, predict
from rsmooth.certify.options import options_of
from rsmooth.certify.settings import CertifySettings, PredictSettings
from tests.certify.nets import half_space, images


@dataclass(frozen=True, kw_only=True)
class Brewing:
    minutes: int = 3
    milk: bool = False


@options_of(Brewing)
def brew(g: str, x: int, options: Brewing) -> tuple[str, int, Brewing]:
    """Tea."""
    return g, x, options


def test_options_arrive_as_the_dataclass() -> None:
    assert brew("green", 2, minutes=5) == ("green", 2, Brewing(minutes=5))
    assert brew(g="green", x=2) == ("green", 2, Brewing())
    assert (brew.__name__, brew.__doc__) == ("brew", "Tea.")
    with pytest.raises(TypeError) as unknown:
        brew("green", 2, sugar=1)  # type: ignore[call-arg]
    assert str(unknown.value) == "expected an option of brew, got 'sugar'; it has minutes, milk"
    with pytest.raises(TypeError, match=r"brew by name, got 1 positional one \(3\); .*minutes=3"):
        brew("green", 2, 3)  # type: ignore[call-arg]


def test_the_signature_shows_every_option_with_type_and_default() -> None:
    shown = inspect.signature(brew)
    assert str(shown).startswith("(g: str, x: int, *, minutes: int = 3, milk: bool = False) -> ")
    assert get_type_hints(brew)["minutes"] is int


@pytest.mark.parametrize(
    ("call", "settings", "more"),
    [
        (certify, CertifySettings, {"labels", "index", "progress"}),
        (predict, PredictSettings, {"index", "progress"}),
    ],
)
def test_calls_take_every_setting_and_what_concerns_their_images(
    call: Any, settings: Any, more: set[str]
) -> None:
    shown = inspect.signature(call).parameters
    assert list(shown)[:2] == ["g", "x"]
    expected = {field.name: field.default for field in fields(settings)}
    options = {name: p.default for name, p in shown.items() if name not in ("g", "x", *more)}
    assert options == expected
    assert set(shown) == {"g", "x", *expected, *more}
    assert all(p.kind is p.KEYWORD_ONLY for p in list(shown.values())[2:])


@pytest.mark.parametrize(("word", "now"), [("grid", "integer"), ("float", "float")])
@pytest.mark.parametrize("call", [certify, predict])
def test_the_earlier_word_for_the_arithmetic_still_counts(call: Any, word: str, now: str) -> None:
    g, x = half_space(), images(3)
    with pytest.warns(FutureWarning, match=f"noise='{word}' is now arithmetic='{now}'") as caught:
        found = call(g, x, n=100, noise=word)
    assert caught[0].filename == __file__
    assert torch.equal(found.counts, call(g, x, n=100, arithmetic=now).counts)
    with pytest.raises(
        ValueError, match=r"expected no noise here, got .*smoothed classifier holds"
    ):
        call(g, x, n=100, noise=g.noise)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda **options: certify(half_space(), images(1), **options), "certify"),
        (lambda **options: predict(half_space(), images(1), **options), "predict"),
        (CertifySettings, "CertifySettings"),
        (PredictSettings, "PredictSettings"),
    ],
)
def test_an_unknown_option_names_the_close_ones(call: Any, name: str) -> None:
    close = "n or n0" if name.startswith(("cert", "Cert")) else "n"
    with pytest.raises(TypeError) as unknown:
        call(N=100)
    assert str(unknown.value) == f"expected an option of {name}, got 'N'; did you mean {close}?"
    with pytest.raises(ValueError, match=r"no sigma here, got 0.5; .*holds it: SmoothedClassifier"):
        call(n=100, sigma=0.5)


def test_labels_say_that_they_are_the_target() -> None:
    assert CertifyOptions(labels=[0]).target == "label"
    assert CertifyOptions().target == "predict"
    with pytest.raises(ValueError, match="expected labels with target='label', got none"):
        certify(half_space(), images(1), n=100, target="label")
    given = certify(half_space(), images(2), n=100, labels=torch.tensor([0, 1]))
    assert given.provenance["target"] == "label"
    assert not {"labels", "index", "progress"} & set(given.provenance)
