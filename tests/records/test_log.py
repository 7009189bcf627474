"""Every log says what its radii are radii of."""

from dataclasses import replace

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log
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


def test_a_journal_of_an_unknown_norm_is_refused_with_its_name(tmp_path):
    image = {**{name: value[0] for name, value in ROW.items()}, "seconds": 1.0}
    with Journal(tmp_path / "certificates.jsonl", {"statement": {"norm": "l0"}}) as journal:
        journal.append("image", image)
    with pytest.raises(RecordError, match=r"certificates\.jsonl: expected norm among"):
        read_log(tmp_path)
