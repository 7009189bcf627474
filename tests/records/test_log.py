"""Every log says what its radii are radii of."""

import hashlib
import json
from dataclasses import replace

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log, write_log
from rsmooth.records.journal import Journal
from rsmooth.records.log import CertificationLog
from rsmooth.records.statement import Statement

ROW = {"idx": [3], "label": [1], "predict": [1], "radius": [0.5], "correct": [1], "time": [1.0]}
UNIFORM = {
    "noise": {"distribution": {"name": "uniform", "half_width": 0.5}, "arithmetic": "integer"},
    "alpha": 0.001,
}


def test_the_statement_follows_from_the_provenance():
    assert CertificationLog(**ROW).statement == Statement()
    log = CertificationLog(**ROW, provenance=UNIFORM)
    assert log.statement == Statement("l1", "probabilistic", 0.001, "uniform smoothing")
    assert replace(log, provenance={"norm": "linf"}).statement.norm == "linf"
    with pytest.raises(RecordError, match="expected norm among l1, l2, linf, got 'l0'"):
        CertificationLog(**ROW, provenance={"norm": "l0"})


def test_deterministic_logs():
    log = CertificationLog.deterministic(
        [0, 1, 2],
        [0, 1, 1],
        [0.1, 0.0, 0.1],
        norm="linf",
        method="crown-ibp",
        idx=[4, 2, 9],
        epsilons=[0.05, 0.1],
        provenance={"model": {"hash": "abc"}},
    )
    assert log.statement == Statement("linf", "deterministic", None, "crown-ibp")
    assert log.idx.tolist() == [2, 4, 9]
    assert log.correct.tolist() == [True, True, False]
    assert log.provenance["epsilons"] == [0.05, 0.1]
    assert log.provenance["model"] == {"hash": "abc"}
    plain = CertificationLog.deterministic([0], [1], [0.1], norm="l2", method="x", sound=False)
    assert (plain.idx.tolist(), plain.time.tolist(), plain.statement.sound) == ([0], [0.0], False)
    with pytest.raises(RecordError, match="columns of one length"):
        CertificationLog.deterministic([0, 1], [1, 1], [0.1], norm="l2", method="x")
    with pytest.raises(RecordError, match="expected norm among"):
        CertificationLog.deterministic([0], [1], [0.1], norm="l0", method="x")


@pytest.mark.parametrize(
    ("provenance", "column"),
    [
        ({}, "radius"),
        ({"sigma": 0.25}, "radius"),
        (UNIFORM, "radius_l1"),
        ({"statement": {"norm": "linf", "kind": "deterministic"}}, "radius_linf"),
    ],
)
def test_tables_name_the_norm_of_their_radii(tmp_path, provenance, column):
    log = CertificationLog(**ROW, provenance=provenance)
    write_log(log, tmp_path / "log")
    header = (tmp_path / "log").read_text().split("\n")[0]
    assert header == f"idx\tlabel\tpredict\t{column}\tcorrect\ttime"
    assert read_log(tmp_path / "log").statement == log.statement
    (tmp_path / "log.json").unlink()
    bare = read_log(tmp_path / "log").statement
    assert bare.norm == log.statement.norm
    assert bare.alpha is None
    assert bare.method == ("gaussian smoothing" if column == "radius" else "not recorded")


@pytest.mark.parametrize(
    ("column", "provenance", "reason"),
    [
        ("radius_linf", {"sigma": 0.25}, "log, line 1: expected the column radius, since log.json"),
        ("radius", UNIFORM, "log, line 1: expected the column radius_l1, since .* states l1"),
        ("radius_l1", {"norm": "linf"}, "log, line 1: expected the column radius_linf"),
        ("radius_l3", {}, "log, line 1: expected the tab-separated header idx"),
        ("radius_l2", {}, "log, line 1: expected the tab-separated header idx"),
        ("radius", {"norm": "l0"}, r"log\.json: expected norm among l1, l2, linf"),
    ],
)
def test_a_table_that_contradicts_its_provenance_is_refused(tmp_path, column, provenance, reason):
    """A tool that writes tables may name the column otherwise than the provenance states."""
    raw = f"idx\tlabel\tpredict\t{column}\tcorrect\ttime\n3\t1\t1\t0.5\t1\t1\n".encode()
    digest = hashlib.sha256(raw).hexdigest()
    beside = {"sha256": digest, "rows": 1, "provenance": provenance}
    (tmp_path / "log").write_bytes(raw)
    (tmp_path / "log.json").write_text(json.dumps(beside))
    with pytest.raises(RecordError, match=reason):
        read_log(tmp_path / "log")


def test_a_journal_of_an_unknown_norm_is_refused_with_its_name(tmp_path):
    image = {**{name: value[0] for name, value in ROW.items()}, "seconds": 1.0}
    with Journal(tmp_path / "certificates.jsonl", {"statement": {"norm": "l0"}}) as journal:
        journal.append("image", image)
    with pytest.raises(RecordError, match=r"certificates\.jsonl: expected norm among"):
        read_log(tmp_path)
