"""A short slice of ``tests.system.damage``: no damaged file is read as something else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.system.damage import KINDS, damaged, main, outcome, try_kind


@pytest.mark.parametrize("name", KINDS)
def test_no_damaged_file_is_read_as_something_else(name: str) -> None:
    found = try_kind(KINDS[name], 60, seed=1)
    assert found.total() == 60
    assert found["refused"] > 0
    assert not [result for result in found if result.startswith("bug")], found
    if not KINDS[name].unprotected:
        assert not [result for result in found if result.startswith("other")], found


def test_rows_that_a_journal_has_lost_are_said_or_end_it() -> None:
    """Only a journal cut right after a line is shorter without a warning."""
    found = try_kind(KINDS["journal"], 300, seed=2)
    assert found["fewer (warned)"] > 5 * found["fewer (silent)"]


def test_outcomes_are_told_apart() -> None:
    before = {1: b"a", 2: b"b"}
    assert outcome(before, dict(before)) == "same"
    assert outcome(before, {1: b"a"}) == "fewer"
    assert [outcome(before, after) for after in ({1: b"b"}, {**before, 3: b"c"}, {3: b"a"})] == [
        "other"
    ] * 3


def test_faults_are_of_every_kind_and_repeatable() -> None:
    content = bytes(range(200)) + b"\nline\nline two\n"
    made = [damaged(content, random.Random(seed)) for seed in range(200)]
    assert made == [damaged(content, random.Random(seed)) for seed in range(200)]
    sizes = {(len(each) > len(content)) - (len(each) < len(content)) for each in made}
    assert sizes == {-1, 0, 1}


def test_what_is_read_as_something_else_is_counted_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader that trusts every digit, which the count must notice."""

    def make(folder: Path) -> Path:
        (folder / "a").write_text("1.25")
        return folder / "a"

    blind = KINDS["journal"].__class__(make, lambda folder: {0: (folder / "a").read_bytes()})
    monkeypatch.setitem(KINDS, "blind", blind)
    assert main(["50", "blind"]) == 1
    assert "50 other (silent)" in capsys.readouterr().out
    assert main(["5", "journal"]) == 0
