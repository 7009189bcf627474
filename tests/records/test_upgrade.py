"""Headers of earlier versions in the words of this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.noise import Gaussian, Uniform
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log
from rsmooth.records.journal import Journal, parse_journal
from rsmooth.records.noise import required_noise
from rsmooth.records.statement import Statement
from rsmooth.records.upgrade import upgraded

FIXTURES = Path(__file__).parents[1] / "certify" / "fixtures"


def earlier(name: str) -> dict[str, object]:
    header = parse_journal(FIXTURES / f"before-{name}.jsonl").header
    assert header is not None
    return header


def test_an_earlier_header_of_integer_noise() -> None:
    before = earlier("integer")
    assert before["noise"]["kind"] == "grid"  # type: ignore[index]
    after = upgraded(before)
    assert after["noise"] == {
        "distribution": {"name": "gaussian", "sigma": 0.25},
        "arithmetic": "integer",
        "sampler": "grid-1/255 sigma=0.25 philox4x32-10 protocol=1 thresholds=b556da80d53b96bf",
        "total_variation": 4.2111888010114976e-17,
    }
    assert after["statement"] == {
        "norm": "l2",
        "kind": "probabilistic",
        "method": "gaussian smoothing",
        "alpha": 0.001,
    }
    untouched = set(before) - {"noise"}
    assert {key: after[key] for key in untouched} == {key: before[key] for key in untouched}
    assert set(after) == set(before) | {"statement"}


def test_an_earlier_header_of_float_noise_loses_its_dead_key() -> None:
    before = earlier("float")
    assert before["noise"] == {"kind": "float", "sound in floating point": False}
    assert upgraded(before)["noise"] == {
        "distribution": {"name": "gaussian", "sigma": 0.25},
        "arithmetic": "float",
    }


def test_upgrading_again_changes_nothing() -> None:
    for before in (earlier("integer"), earlier("float"), {}, {"sigma": 1}, {"n": 3, "noise": {}}):
        after = upgraded(before)
        assert upgraded(after) == after


def test_a_header_of_this_version_is_left_alone() -> None:
    header = {"noise": {"distribution": Uniform(0.5).record(), "arithmetic": "integer"}, "n": 100}
    assert upgraded(header) == header
    assert required_noise(header) == Uniform(0.5)


def test_the_statement_of_an_earlier_record_is_gaussian_l2() -> None:
    before = earlier("integer")
    assert Statement.of(upgraded(before)) == Statement.of(before) == Statement(alpha=0.001)
    assert required_noise(before) == Gaussian(0.25)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({}, "names its noise distribution"),
        ({"noise": {"kind": "grid"}}, "names its noise distribution"),
        ({"noise": {"distribution": {"name": "pink", "hue": 1}}}, "a noise among .*register"),
        ({"noise": {"distribution": {"name": "gaussian"}}}, "sigma"),
    ],
)
def test_a_record_without_a_known_noise_is_refused(header: dict[str, object], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        required_noise(header)


def test_a_journal_goes_on_under_a_header_of_either_version(tmp_path: Path) -> None:
    before = earlier("integer")
    with Journal(tmp_path / "j", before) as journal:
        journal.append("partial", {"idx": 1})
    with Journal(tmp_path / "j", upgraded(before)) as journal:
        assert journal.header == before  # that of the file, whose hash every line holds
        journal.append("partial", {"idx": 2})
    with Journal(tmp_path / "j", before) as journal:
        assert [entry.data["idx"] for entry in journal.entries("partial")] == [1, 2]
    other = upgraded({**before, "sigma": 0.5})
    with pytest.raises(RecordError, match=r"noise\.distribution\.sigma \(0\.25, here 0\.5\)"):
        Journal(tmp_path / "j", other)


def test_the_certificates_of_an_earlier_journal_are_read() -> None:
    log = read_log(FIXTURES / "before-integer.jsonl")
    assert log.idx.tolist() == [3, 13]
    assert log.radius.tolist() == [0.33510745592986646, 0.009004552211712726]
    assert log.counts is not None
    assert log.counts.tolist() == [[118, 2], [79, 41]]
