"""``rsmooth list``: every entry with its line, plug-ins that are broken included."""

from __future__ import annotations

import re

import pytest

from rsmooth import registry
from rsmooth.cli import main
from rsmooth.cli.list import KINDS
from rsmooth.models.shipped import card_text, shipped_names
from tests.cli.helpers import error_of

ENTRIES = [
    (kind, name)
    for kind in KINDS
    if kind != "objectives"  # which are used as they are
    for name in KINDS[kind].own_names()
]


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_entry_has_a_line_of_help(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", kind]) == 0
    title, *lines = capsys.readouterr().out.strip("\n").split("\n")
    assert title == f"{kind}:"
    named = [line.split()[0] for line in lines if line[2] != " "]
    trained = shipped_names() if kind == "models" else []
    assert named == getattr(registry, kind.upper()).names() + trained
    assert all(len(line) <= 100 for line in lines)


def test_all_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert [line[:-1] for line in shown.splitlines() if line[0] != " "] == list(KINDS)
    kinds = {"attacks", "trainers", "objectives", "models", "denoisers", "datasets", "noises"}
    assert kinds == set(KINDS)


def test_the_options_of_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "trainers", "smoothadv"]) == 0
    shown = capsys.readouterr().out
    assert "  num_noise           noise copies m per image" in shown
    assert 'optimizer           "sgd", "adam", "adamw" or "muon" (AdamW for' in shown
    assert "lr_gamma            see schedule (default: 0.1)" in shown
    assert "<" not in shown


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_option_of_every_entry_has_a_line_of_help(
    kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", kind, name]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    bare = [line for line in lines if re.match(r"  \w+ +\((default|required)", line)]
    assert bare == []
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("name", shipped_names())
def test_a_trained_model_shows_its_card(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "models", name]) == 0
    assert capsys.readouterr().out == card_text(name)


def test_a_broken_plug_in_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        module, attr, name, value = "rsmooth_nowhere", "gone", "broken", "rsmooth_nowhere:gone"

        def load(self) -> None:
            raise AttributeError("gone")

    noises = KINDS["noises"]
    monkeypatch.setattr(noises, "_plugins", lambda: {"broken": Broken()})
    assert main(["list", "noises"]) == 0
    shown = capsys.readouterr().out
    assert "broken    cannot be loaded: AttributeError: gone" in shown
    assert "uniform" in shown
    said = error_of(capsys, "list", "noises", "broken")
    assert (
        "the noise 'broken' to be there as rsmooth_nowhere:gone, got AttributeError: gone" in said
    )


def test_what_cannot_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected one of attacks" in error_of(capsys, "list", "nope")
    assert "got none; add --kind" in error_of(capsys, "list", "--name", "pgd")
