"""Packages that need not be there: imported where they are, named with a remedy where not."""

from __future__ import annotations

import pytest

from rsmooth.plumbing.optional import optional


def test_what_is_there_is_imported() -> None:
    assert optional("json.decoder", "a test", "json").JSONDecoder


def test_what_is_missing_is_named_with_a_remedy() -> None:
    with pytest.raises(
        ImportError, match=r"no_such for trees, found none; .* pip install 'a\[b\]'"
    ):
        optional("no_such.part", "trees", "'a[b]'")


def test_what_cannot_be_imported_says_why(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"one that cannot be imported .*no_such_module"):
        optional("broken_package", "trees", "broken")
