"""Every log is consistent in itself, and says which norm its radii are in."""

from dataclasses import replace

import numpy as np
import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.log import (
    CertificationLog,
    check_same_images,
    faults,
    first_fault,
    image_difference,
)
from rsmooth.records.statement import Statement
from tests.records.by_hand import (
    ROW,
    UNIFORM,
    some_log,
)


def test_the_statement_follows_from_the_provenance():
    assert CertificationLog(**ROW).statement == Statement()
    log = CertificationLog(**ROW, provenance=UNIFORM)
    assert log.statement == Statement("l1", "probabilistic", 0.001, "uniform smoothing")
    assert replace(log, provenance={"norm": "linf"}).statement.norm == "linf"
    with pytest.raises(RecordError, match="expected norm among l1, l2, linf, other, got 'l0'"):
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
    for epsilon in (float("nan"), float("inf"), -0.1):
        with pytest.raises(ValueError, match="expected a finite radius >= 0"):
            CertificationLog.deterministic(
                [0], [1], [0.1], norm="l2", method="x", epsilons=[0.1, epsilon]
            )


def test_its_text_is_one_line_however_long_it_is():
    log = CertificationLog.deterministic(
        np.arange(5000) % 2, [1] * 4999 + [-1], [0.1] * 4999 + [0.0], norm="linf", method="ibp"
    )
    said = (
        "5000 images, 1 abstained; 2499 correct; linf radii 0.1 to 0.1, median 0.1; deterministic"
    )
    assert repr(log) == f"CertificationLog({said})"
    smoothed = CertificationLog(**ROW, provenance=UNIFORM)
    assert "l1 radii" in repr(smoothed)
    assert "uniform λ=0.5" in repr(smoothed)
    none = CertificationLog(**{name: np.asarray(column)[:0] for name, column in ROW.items()})
    assert repr(none).startswith("CertificationLog(0 images, 0 abstained; 0 correct;")


def test_rows_are_sorted_by_idx():
    log = some_log(counts=[[1, 2], [3, 4]], samples=[3, 7])
    assert log.idx.tolist() == [2, 4]
    assert log.radius.tolist() == [0.0, 1 / 3]
    assert log.counts.tolist() == [[3, 4], [1, 2]]
    assert log.samples.tolist() == [7, 3]
    assert len(log) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"time": [1.0]}, "expected columns of one length"),
        ({"samples": [1, 2, 3]}, "expected columns of one length"),
        ({"idx": [4.0, 2.0]}, "expected integers in column idx"),
        ({"radius": [float("nan"), 0.0]}, "row 0: expected a finite radius"),
        ({"radius": [0.1, 0.1]}, "row 1: expected radius 0 for an abstention"),
        ({"time": [1.0, float("nan")]}, "row 1: expected a finite time"),
        ({"correct": [1, 1]}, "row 1: expected correct to be 1 exactly where"),
        ({"idx": ["a", "b"]}, "expected integers in column idx, got <U1"),
        ({"label": [True, False]}, "expected integers in column label, got bool"),
        ({"radius": ["0.3", "0.0"]}, "expected numbers in column radius, got <U3"),
        ({"radius": [True, False]}, "expected numbers in column radius, got bool"),
        ({"correct": ["True", "False"]}, "expected 0 or 1 in column correct, got <U5"),
        ({"radius": [[0.3], [0.0]]}, r"expected column radius of shape \(N,\), got \(2, 1\)"),
        ({"counts": [9, 1]}, r"expected column counts of shape \(N, K\), got \(2,\)"),
        ({"selection": [9, 1]}, r"expected column selection of shape \(N, K\), got \(2,\)"),
        ({"samples": [[9], [1]]}, r"expected column samples of shape \(N,\), got \(2, 1\)"),
    ],
)
def test_contradicting_columns_are_refused(change, reason):
    with pytest.raises(RecordError, match=reason):
        some_log(**change)


def test_other_images_are_named():
    log = some_log()
    assert image_difference(log, some_log(radius=[0.1, 0.0])) is None
    assert "idx 4 only in the first and idx 5 only in the second" in image_difference(
        log, some_log(idx=[5, 2])
    )
    labels = some_log(label=[3, 2])
    assert image_difference(log, labels) == "other labels at idx 2"
    prints = [some_log(provenance={"dataset": {"fingerprint": name}}) for name in "ab"]
    assert image_difference(*prints) == "data fingerprints a and b"
    check_same_images([log, log])
    with pytest.raises(RecordError, match="log 2 differs from log 0: other labels"):
        check_same_images([log, log, labels])


@pytest.mark.parametrize(
    "votes",
    [
        {"counts": [[60, 50]], "samples": [100]},
        {"counts": [[60, 30]], "samples": [100], "invalid": [0]},
        {"counts": [[60, 30]], "samples": [100], "invalid": [11]},
    ],
)
def test_votes_are_one_a_sample(votes):
    row = {"idx": [7], "label": [0], "predict": [0], "radius": [0.1], "correct": [1], "time": [1.0]}
    CertificationLog(**row, counts=[[60, 30]], samples=[100], invalid=[10])
    with pytest.raises(RecordError, match="expected one vote per sample at idx 7"):
        CertificationLog(**row, **votes)


def test_no_number_of_votes_is_negative():
    for votes in (
        {"counts": [[10, 2], [120, -20]], "samples": [12, 100], "invalid": [0, 0]},
        {"counts": [[10, 2], [120, -20]]},
        {"selection": [[10, 2], [-1, 2]]},
        {"counts": [[10, 2], [9, 2]], "samples": [12, 10], "invalid": [0, -1]},
        {"samples": [12, -1]},
    ):
        with pytest.raises(RecordError, match=r"expected \w+ >= 0 at idx 4, got"):
            some_log(idx=[2, 4], **votes)


def test_all_faults_of_a_table_are_found():
    columns = [np.array(each) for each in ([0, 0, 2], [1, 1, 1], [1, 1, 0], [0.5, 0.5, 0.1])]
    found = faults(*columns, np.array([1, 1, 1]), np.zeros(3))
    assert [row for row, _ in found] == [1, 2]
    assert found[0][1].startswith("expected every idx once")
    assert first_fault(*columns, np.array([1, 1, 1]), np.zeros(3)) == found[0]
