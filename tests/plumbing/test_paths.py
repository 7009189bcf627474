"""A leading ~ is the home folder, and no other ~ is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsmooth.plumbing.paths import user_path


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(("written", "below"), [("~", ""), ("~/a", "a"), ("~/a/~", "a/~")])
def test_a_leading_one_is_the_home_folder(
    written: str, below: str, kind: type, tmp_path: Path
) -> None:
    assert user_path(kind(written)) == tmp_path / "home" / below


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("written", ["a", "a/~", "a/~/b", "a~", "~nobody-of-this-name/a", "/~/a"])
def test_any_other_path_stays_as_it_was_written(written: str, kind: type) -> None:
    assert os.fspath(user_path(kind(written))) == written


@pytest.mark.parametrize("written", ["./~", "./~/a"])
def test_a_file_of_that_name_is_one_however_often_it_is_asked(written: str, tmp_path: Path) -> None:
    found = user_path(written)
    assert os.fspath(found) == os.fspath(tmp_path / "work" / written[2:])
    assert user_path(found) == found


@pytest.mark.parametrize("written", ["~", "~/a", "a/~", "~nobody-of-this-name"])
def test_a_second_call_changes_nothing(written: str) -> None:
    assert user_path(user_path(written)) == user_path(written)
