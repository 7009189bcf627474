"""Names and summaries are read from the source, and nothing is imported for them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsmooth.plumbing.discovery import Found, registrations, summary
from rsmooth.registry import NOISES

SOURCE = '''
raise ImportError("this module must not be imported")

@THINGS.register("first")
@decorated
class First:
    """One line.

    And details.
    """

@THINGS.register("second")
@THINGS.register("alias")
def second():
    pass

@OTHERS.register("third")
class Third:
    """Of another registry."""

@THINGS.register(name)
def computed():
    """Whose name is not in the source."""

def outer():
    @THINGS.register("inner")
    def inner(): ...
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package whose modules fail when they are imported."""
    inner = tmp_path / "discovered" / "deep"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        (folder / "__init__.py").write_text("")
    (inner / "things.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return "discovered"


def test_registrations_of_a_package_and_of_a_module(package: str) -> None:
    module = f"{package}.deep.things"
    expected = {
        "first": Found(module, "First", "One line."),
        "second": Found(module, "second", ""),
        "alias": Found(module, "second", ""),
    }
    assert registrations(package, "THINGS") == expected
    assert registrations(module, "THINGS") == expected
    assert registrations(package, "OTHERS")["third"].summary == "Of another registry."
    assert module not in sys.modules


def test_a_summary_is_the_first_line(package: str) -> None:
    module = f"{package}.deep.things"
    assert summary(module, "First") == "One line."
    assert summary(module, "second") == ""
    assert summary(module, "missing") is None


def test_what_has_no_source_has_no_summary() -> None:
    assert registrations("no_such_package_of_that_name", "THINGS") == {}
    assert summary("no_such_package_of_that_name", "x") is None
    assert summary("no_such_package_of_that_name.inner", "x") is None
    assert summary("builtins", "print") is None


def test_what_is_found_is_what_the_registry_gives() -> None:
    found = registrations("rsmooth.noise", "NOISES")
    assert sorted(found) == sorted(NOISES.own_names())
    for name, each in found.items():
        assert NOISES.get(name).__name__ == each.attribute
        assert NOISES.get(name).__module__ == each.module
        assert each.summary.endswith(".")
