"""linf accuracy is that of the record at the radius of the covering ball of its own norm."""

import csv

import numpy as np
import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import linf_certified_accuracy
from rsmooth.records.norms import linf_to_l2
from rsmooth.report import Run, linf_table, pixel_fraction, report
from rsmooth.report.blocks import to_markdown
from rsmooth.report.linf import common_dimension, linf_section
from tests.report.by_hand import HEADER, UNIFORM, run_of, write_run, write_tables, write_three

SHAPED = {"dataset": {"name": "digits", "shape": [1, 8, 8]}}


def test_accuracies_are_those_of_the_covering_l2_balls():
    """64 values, so that the factor is exactly 8."""
    table = linf_table(
        [run_of(radius=[0.09, 0.1, 0.8, 0.9], provenance=SHAPED)], [0.1, 0.0, 0.0125, 0.2]
    )
    run = table.table.rows[0]
    assert (table.epsilons, table.dimension) == ((0.0125, 0.1, 0.2), 64)
    np.testing.assert_allclose(table.table.radii, [0.1, 0.8, 1.6], rtol=1e-14)
    assert (np.array(table.table.radii) >= 8 * np.array(table.epsilons)).all()
    # A radius of just 8 epsilon does not cover what is rounded up.
    assert run.accuracy == (1.0, 0.5, 0.25, 0.0)
    assert run.accuracy_error[1] == pytest.approx(0.25)
    assert table.table.rows[1].name == "constant classifier"


@pytest.mark.parametrize("epsilon", [1 / 255, 2 / 255, 8 / 255, 0.3])
def test_a_run_that_was_asked_for_the_covering_radius_counts(epsilon):
    run = run_of(radius=[linf_to_l2(epsilon, 64)] * 4, provenance=SHAPED)
    assert linf_table([run], [epsilon]).table.rows[0].accuracy == (1.0, 1.0)
    assert linf_certified_accuracy(run.log, [epsilon], 64) == [1.0]


def test_what_an_linf_radius_covers_must_be_known():
    known, other = run_of("ours", SHAPED), run_of("theirs")
    with pytest.raises(
        RecordError, match="the record of theirs, got none; say their number of values"
    ):
        linf_table([known, other], [0.1])
    said = linf_table([known, other], [0.0125], dimension=64)
    assert [row.accuracy for row in said.table.rows[:2]] == [(1.0, 0.75)] * 2
    with pytest.raises(
        RecordError, match="got ours 64, dimension=3072; an linf radius means another radius"
    ):
        linf_table([known], [0.1], dimension=3072)
    with pytest.raises(
        RecordError, match="got ours 64, large 3072; an linf radius means another radius"
    ):
        linf_table([known, run_of("large", {"dataset": {"shape": [3, 32, 32]}})], [0.1])
    with pytest.raises(ValueError, match="at least one linf radius above 0"):
        linf_table([known], [0.0])
    with pytest.raises(ValueError, match="expected a dimension >= 1"):
        linf_table([other], [0.1], dimension=0)


def test_an_linf_record_keeps_its_value():
    """85 % at linf 2/255 stays 85 %, whatever the size of the images, and none has to be known."""
    log = CertificationLog.deterministic(
        np.zeros(100, int),
        np.zeros(100, int),
        np.where(np.arange(100) < 85, 2 / 255, 0.0),
        norm="linf",
        method="ibp",
    )
    for dimension in (None, 3072):
        found = linf_table([Run("ibp", log)], [2 / 255, 2.001 / 255], dimension)
        assert found.table.rows[0].accuracy == (1.0, 0.85, 0.0)
        assert found.dimension is None
    assert "These records state linf radii themselves" in to_markdown(linf_section(found))


def test_an_l1_record_needs_the_radius_of_its_own_ball():
    """Of 64 values: the linf ball of 0.005 lies in the l1 ball of 0.32."""
    found = linf_table([run_of(provenance=UNIFORM)], [0.005], 64)
    assert found.table.rows[0].accuracy == (1.0, 0.25)
    assert found.table.radii[0] == pytest.approx(0.32)
    text = to_markdown(linf_section(found))
    assert "lies in the l1 ball of radius ε·64 (0.005 by 0.3201)." in text
    assert "read the l2 table" not in text
    assert "read the l2 table as it is" in to_markdown(
        linf_section(linf_table([run_of()], [0.005], 64))
    )


def test_all_groups_are_in_one_file(tmp_path):
    report(write_three(tmp_path), tmp_path / "out", linf=[2 / 255], dimension=64)
    with (tmp_path / "out" / "linf.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if float(row["linf"]) and row["sigma"] != ""]
    with (tmp_path / "out" / "linf.csv").open() as file:
        found = {
            row["method"]: (row["norm"], row["noise"], row["dimension"], float(row["certified"]))
            for row in csv.DictReader(file)
            if float(row["linf"])
        }
    assert [row["method"] for row in rows] == ["gauss"]
    assert found["gauss"] == ("l2", "σ=0.25", "64", 1.0)
    assert found["uniform"] == ("l1", "uniform λ=0.5", "64", 0.0)
    assert found["ibp"] == ("linf", "", "", 0.5)


def test_radii_are_named_in_steps_of_8_bit_images():
    assert [pixel_fraction(value) for value in (2 / 255, 0.0313, 8 / 255, 0.25)] == [
        "2/255",
        "0.0313",
        "8/255",
        "0.25",
    ]


def test_a_report_has_a_section_and_a_file_of_it(tmp_path):
    made = report(write_tables(tmp_path), tmp_path / "out", linf=[1 / 255, 2 / 255], dimension=3072)
    assert (
        "## At linf radii\n\n| method | clean | linf 1/255 | linf 2/255 |\n|---|---:|---:|---:|\n"
        "| weak | 50.0 ± 25.0 | 25.0 ± 21.7 | 0.0 ± 0.0 |\n"
        "| strong | 75.0 ± 21.7 | 75.0 ± 21.7 | 75.0 ± 21.7 |\n"
    ) in made.markdown
    assert "ε·√3072 (1/255 by 0.2174, 2/255 by 0.4348)" in made.markdown
    with (tmp_path / "out" / "linf.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], float(row["linf"]), float(row["certified"])) for row in rows[:3]] == [
        ("weak", 0.0, 0.5),
        ("weak", 1 / 255, 0.25),
        ("weak", 2 / 255, 0.0),
    ]
    assert (rows[1]["norm"], rows[1]["kind"]) == ("l2", "probabilistic")
    assert float(rows[1]["radius"]) == linf_to_l2(1 / 255, 3072)
    plain = report(write_tables(tmp_path))
    assert plain.linf is None
    assert "At linf radii" not in plain.markdown
    assert "and so at that l1 radius" in plain.markdown
    with pytest.raises(ValueError, match="expected linf radii beside dimension=64"):
        report(write_tables(tmp_path), dimension=64)


def test_a_restated_record_says_of_what(tmp_path):
    derived = {
        "statements": 4,
        "alpha": 0.00025,
        "derived_from": [
            {"file": "a/certificates.jsonl", "sha256": "0"},
            {"file": "more.jsonl", "sha256": "1"},
        ],
    }
    write_run(tmp_path / "joint", [1000, 900, 500, 700], {**HEADER, **derived})
    text = report([tmp_path / "joint"]).markdown
    assert (
        ", joint over 4 certificates at 0.001, restated from a/certificates.jsonl and more.jsonl; "
        "false "
        "certificates: at most 0.001 expected"
    ) in text
    write_run(tmp_path / "single", [1000, 900, 500, 700], {**HEADER, "statements": 1})
    assert "joint over" not in report([tmp_path / "single"]).markdown


def test_a_dimension_beside_that_of_the_record_is_to_be_left_out():
    one, other = (run_of(f"r{k}", {**HEADER, "dataset": {"shape": [1, k, k]}}) for k in (2, 3))
    with pytest.raises(RecordError, match="in each: leave the dimension out"):
        common_dimension([one], 784, needed=True)
    with pytest.raises(RecordError, match="in each: report them apart"):
        common_dimension([one, other], None, needed=True)
