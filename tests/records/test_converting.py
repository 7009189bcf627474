"""Logs of one norm as logs of another: stated, rounded down, and never by accident."""

from dataclasses import replace

import numpy as np
import pytest

from rsmooth.certify.restate import recertify
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.converting import in_norm, radii_in_norm, recorded_dimension
from rsmooth.records.files import read_log, write_log
from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import certified_accuracy, linf_certified_accuracy

PIXEL = 1 / 255
LABEL, PREDICT = [0, 1, 1, 0], [0, 1, 0, 0]
LINF = CertificationLog.deterministic(
    LABEL,
    PREDICT,
    [2 * PIXEL, 4 * PIXEL, 0.0, 0.0],
    norm="linf",
    method="ibp",
    epsilons=[2 * PIXEL, 4 * PIXEL],
)


def log_of(radius, **provenance):
    return CertificationLog(
        idx=range(4),
        label=LABEL,
        predict=PREDICT,
        radius=radius,
        correct=[1, 1, 0, 1],
        time=[0] * 4,
        provenance=provenance,
    )


L1 = log_of([0.4, 0.8, 0.1, 0.0], norm="l1", alpha=0.001)
L2 = log_of([0.5, 1.0, 0.3, 0.25], sigma=0.5, dataset={"shape": [1, 2, 2]})


def test_radii_of_every_pair_of_norms():
    """Of four values, so that the factors are 2 and 4."""
    expected = {
        ("l1", "l2"): 0.5,
        ("l1", "linf"): 0.25,
        ("l2", "linf"): 0.5,
        ("l2", "l1"): 1.0,
        ("linf", "l1"): 1.0,
        ("linf", "l2"): 1.0,
        ("l1", "l1"): 1.0,
    }
    for log in (L1, L2, LINF):
        for (source, norm), factor in expected.items():
            if log.statement.norm == source:
                radii = radii_in_norm(log, norm, 4)
                np.testing.assert_allclose(radii, factor * log.radius, rtol=1e-14)
                assert (radii <= factor * log.radius).all()


def test_the_new_log_states_its_norm_and_where_it_comes_from():
    found = in_norm(L2, "linf")
    assert found.statement.group == ("linf", "probabilistic")
    assert found.provenance["converted"] == [{"from": "l2", "to": "linf", "dimension": 4}]
    assert found.provenance["sigma"] == 0.5
    np.testing.assert_array_equal(found.radius, radii_in_norm(L2, "linf", 4))
    assert found.correct.tolist() == L2.correct.tolist()
    assert in_norm(L1, "l2", 4).statement.alpha == 0.001  # its bare norm no longer counts
    assert in_norm(L1, "l2", 4).statement.norm == "l2"
    assert "norm" not in in_norm(L1, "l2", 4).provenance
    assert in_norm(L2, "l2") is L2
    assert L2.statement.norm == "l2"


def test_votes_are_left_out():
    """A restated log would have radii of the noise's norm under the statement of another."""
    votes = {"counts": [[8, 2]] * 4, "samples": [10] * 4}
    found = in_norm(replace(L2, **votes), "linf")
    assert (found.counts, found.samples, found.selection, found.invalid) == (None,) * 4
    with pytest.raises(RecordError, match="expected a log with vote counts"):
        recertify(found, alpha=0.01)


def test_epsilons_are_converted_with_the_radii():
    wide = in_norm(LINF, "l2", 4)
    assert wide.provenance["epsilons"] == [2 * PIXEL, 4 * PIXEL]
    again = in_norm(wide, "linf")  # the dimension is known from the first step
    assert again.provenance["epsilons"] == sorted(again.radius)[-2:]
    assert [step["to"] for step in again.provenance["converted"]] == ["l2", "linf"]
    np.testing.assert_allclose(again.radius, LINF.radius / 2, rtol=1e-14)
    cross = CertificationLog.deterministic([0], [0], [0.4], norm="l1", method="x", epsilons=[0.4])
    assert in_norm(cross, "linf", 4).provenance["epsilons"] == in_norm(cross, "linf", 4).radius
    assert in_norm(cross, "linf", 4).radius == pytest.approx(0.1, rel=1e-14)


def test_a_converted_log_can_be_written_and_read(tmp_path):
    found = in_norm(L2, "linf")
    write_log(found, tmp_path / "log")
    again = read_log(tmp_path / "log")
    assert again.statement == found.statement
    assert again.radius.tolist() == found.radius.tolist()


def test_the_dimension_has_to_be_known_and_to_agree():
    assert (recorded_dimension(L2), recorded_dimension(L1)) == (4, None)
    with pytest.raises(RecordError, match="expected the shape of the images in the record"):
        in_norm(L1, "l2")
    with pytest.raises(RecordError, match=r"expected images of 4 values, .* dimension=3072"):
        in_norm(L2, "linf", 3072)
    for dimension in (4.5, "4", True, float("nan")):
        with pytest.raises(ValueError, match="expected an integer dimension, got"):
            in_norm(L1, "l2", dimension)
    with pytest.raises(ValueError, match="expected a norm l1, l2, linf"):
        in_norm(L2, "l3")


def test_linf_accuracy_is_asked_of_the_norm_that_the_log_states():
    """An linf record answers for itself; 2/255 of 3072 values is l2 0.4347."""
    for dimension in (1, 3072):
        np.testing.assert_array_equal(
            linf_certified_accuracy(LINF, [0, 2 * PIXEL, 4 * PIXEL], dimension), [0.75, 0.5, 0.25]
        )
    np.testing.assert_array_equal(linf_certified_accuracy(L2, [0.2499, 0.2501], 4), [0.5, 0.25])
    np.testing.assert_array_equal(linf_certified_accuracy(L1, [0.0999, 0.1001], 4), [0.5, 0.25])


@pytest.mark.parametrize("log", [L1, L2])
def test_a_converted_log_has_the_same_accuracies_but_for_rounding(log):
    epsilons = [0.05, 0.0999, 0.1001, 0.249, 0.251, 0.4]
    np.testing.assert_array_equal(
        certified_accuracy(in_norm(log, "linf", 4), epsilons),
        linf_certified_accuracy(log, epsilons, 4),
    )
