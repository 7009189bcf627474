"""Callers may catch one class for all that can be wrong with a file of a run."""

from __future__ import annotations

import pytest

import rsmooth.certify
import rsmooth.records
from rsmooth.plumbing.errors import LockedError, RecordError


@pytest.mark.parametrize("kind", [RecordError, LockedError])
def test_what_is_wrong_with_a_record_is_a_record_error_and_a_value_error(
    kind: type[Exception],
) -> None:
    assert issubclass(kind, RecordError)
    assert issubclass(kind, ValueError)


def test_the_packages_give_the_same_class() -> None:
    assert rsmooth.records.RecordError is RecordError
    assert rsmooth.certify.RecordError is RecordError
