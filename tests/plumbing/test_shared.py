"""A setting that several threads hold is restored by the last one, and kept till then."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rsmooth.plumbing.shared import SharedSetting


def test_the_last_one_to_leave_restores_it_and_none_before() -> None:
    owner = SimpleNamespace(enabled=True)
    setting = SharedSetting(owner, "enabled", False)
    first, second = setting.held(), setting.held()  # as two threads enter and leave them
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert owner.enabled is False
    second.__exit__(None, None, None)
    assert owner.enabled is True


def test_it_is_restored_after_an_error_to_what_it_is_by_then() -> None:
    owner = SimpleNamespace(enabled=True)
    setting = SharedSetting(owner, "enabled", False)
    for before in (True, False):
        owner.enabled = before
        with pytest.raises(KeyError), setting.held():
            raise KeyError
        assert owner.enabled is before
