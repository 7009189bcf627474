"""Tables of other people: columns by name, other separators, and what is refused by name."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.dialects import survey_table
from rsmooth.records.files import read_log, write_log
from rsmooth.records.log import CertificationLog
from rsmooth.report import report
from tests.records.by_hand import assert_same_table

ROWS = [
    {"idx": "0", "label": "3", "predict": "3", "radius": "0.378", "correct": "1", "time": "15.5"},
    {"idx": "20", "label": "7", "predict": "-1", "radius": "0.0", "correct": "0", "time": "14"},
    {
        "idx": "40",
        "label": "4",
        "predict": "2",
        "radius": "0.25",
        "correct": "0",
        "time": "1 day, 2:00:00.250000",
    },
]
TRUTH = CertificationLog(
    idx=[0, 20, 40],
    label=[3, 7, 4],
    predict=[3, -1, 2],
    radius=[0.378, 0.0, 0.25],
    correct=[1, 0, 0],
    time=[15.5, 14.0, 93600.25],
)
USUAL = "idx label predict radius correct time"


def table(
    columns: str, separator: str = "\t", changed: dict[str, list[str]] | None = None, end: str = ""
) -> str:
    names = columns.split()
    values = [
        {**row, **{k: v[at] for k, v in (changed or {}).items()}} for at, row in enumerate(ROWS)
    ]
    lines = [separator.join(names), *(separator.join(row[n] for n in names) for row in values)]
    return "\n".join(lines) + "\n" + end


def read(tmp_path: Path, text: str, unit: str | None = None) -> CertificationLog:
    (tmp_path / "log").write_text(text)
    return read_log(tmp_path / "log", unit=unit)


SIGMA = {"sigma": ["0.3", "0.31", "0.32"]}
STAGES = {"r_neg": ["0.0"] * 3, "pred_uc": ["1"] * 3, "stage": ["a b"] * 3}
ANSWERS = {"correct": ["True", "False", "false"]}
GENERAL = {"count": ["9"] * 3, "exact_radius": ["0.378", "0.0", "0.25"]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(table(USUAL, changed=ANSWERS), id="true and false"),
        pytest.param(table("correct time radius label idx predict"), id="another order"),
        pytest.param(
            table("idx label predict radius correct sigma time", changed=SIGMA), id="sigma"
        ),
        pytest.param(
            table("idx label predict radius r_neg correct pred_uc stage time", changed=STAGES),
            id="stages",
        ),
        pytest.param(table(USUAL, ","), id="commas"),
        pytest.param(table(USUAL, ";"), id="semicolons"),
        pytest.param(table(USUAL, " "), id="spaces"),
        pytest.param(table(USUAL, "   "), id="more spaces"),
        pytest.param(table(USUAL, " \t "), id="spaces around tabs"),
        pytest.param(table(USUAL, end="\n"), id="a blank last line"),
        pytest.param(table(USUAL, end="\n  \n\r\n"), id="more blank lines"),
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, text: str) -> None:
    log = read(tmp_path, text)
    assert_same_table(log, TRUTH)
    assert log.statement.norm == "l2"
    assert log.provenance == {}


def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(tmp_path, table(USUAL))
    assert not caplog.text
    read(tmp_path, table("idx label predict radius correct sigma time", changed=SIGMA))
    assert "further columns are not read: sigma" in caplog.text


def test_the_time_may_be_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = read(tmp_path, table("idx correct radius label predict"))
    assert "no column time" in caplog.text
    assert log.time.tolist() == [0, 0, 0]
    assert log.radius.tolist() == TRUTH.radius.tolist()
    row = report([tmp_path / "log"]).table.rows[0]
    assert row.certify_seconds is None  # unknown, not none


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (table("idx label predict correct time"), "expected a column radius, .* predictions with"),
        (table("label predict radius correct"), "got none called idx"),
        (table("idx radius"), "got none called label predict correct"),
        (table(USUAL).replace("radius", "linf_radius"), "got linf_radius, which are linf radii"),
        (table(USUAL).replace("radius", "Radius_L1"), "got Radius_L1, which are l1 radii"),
        (table(USUAL).replace("radius", "radius_255"), "got radius_255, .* scaled"),
        (table(USUAL).replace("radius", "exact_radius"), "exact_radius, whose norm .* --unit on"),
        (table(USUAL).replace("radius", "radius_other"), "expected the unit of .* in log.json"),
        (table(USUAL + " radius_l1", changed={"radius_l1": ["1"] * 3}), "one column of radii"),
        (table(USUAL + " radius"), "expected one column radius, got 2"),
        (table(USUAL, changed={"radius": ["-0.1", "0", "0"]}), r"line 2: expected a radius >= 0, "),
        (table(USUAL, changed={"radius": ["0", "-inf", "0"]}), "line 3: expected a finite radius"),
        (table(USUAL, changed={"radius": ["0", "0", "inf"]}), "line 4: .*no number of samples"),
        (
            table(USUAL, changed={"radius": ["nan", "0", "0"]}),
            "decimal number as radius, got 'nan'",
        ),
        (table(USUAL, changed={"correct": ["yes", "0", "0"]}), "integer of 64 bits, got 'yes'"),
        (table(USUAL, ",")[:-23], "line 4: expected 6 values separated by commas, got 5"),
        (table(USUAL).replace("\n", "\n\n", 1), "line 2: expected 6 values separated by tabs"),
        (table(USUAL, ",") + "9" * 200_000 + ",1,1,0,1,1\n", "line 5: .*, got field larger than"),
        ("", "is this a certification log"),
        ("a b c", "is this a certification log"),
    ],
)
def test_what_is_no_such_table_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(RecordError, match=rf"log, (line \d: .*)?{reason}"):
        read(tmp_path, text)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_lines_may_end_as_on_old_computers(tmp_path: Path, separator: str) -> None:
    for end in ("\r", "\r\n"):
        assert_same_table(read(tmp_path, table(USUAL, separator).replace("\n", end)), TRUTH)


def test_the_unit_may_be_said(tmp_path: Path) -> None:
    linf = read(tmp_path, table(USUAL), unit="linf")
    assert (linf.statement.norm, linf.statement.method) == ("linf", "not recorded")
    assert_same_table(linf, TRUTH)
    turned = read(tmp_path, table(USUAL), unit="degrees of rotation")
    assert (turned.statement.norm, turned.statement.measure) == ("other", "degrees of rotation")
    general = table("idx label predict count exact_radius correct time", changed=GENERAL)
    assert_same_table(read(tmp_path, general, unit="l2"), TRUTH)
    assert read(tmp_path, table(USUAL), unit="l2").provenance == {}
    named = table(USUAL).replace("radius", "radius_l1")
    assert read(tmp_path, named, unit="l1").statement.norm == "l1"
    with pytest.raises(RecordError, match="expected radii in l2, as was said, got radius_l1"):
        read(tmp_path, named, unit="l2")
    with pytest.raises(RecordError, match="expected a unit in words"):
        read(tmp_path, table(USUAL), unit="")


def test_other_units_survive_a_round_trip_and_meet_no_norm(tmp_path: Path) -> None:
    turned = read(tmp_path, table(USUAL), unit="degrees of rotation")
    write_log(turned, tmp_path / "again.tsv")
    assert "radius_other" in (tmp_path / "again.tsv").read_text().split("\n")[0]
    again = read_log(tmp_path / "again.tsv")
    assert again.statement == turned.statement
    assert_same_table(again, turned)
    (tmp_path / "plain").write_text(table(USUAL))
    both = report([tmp_path / "again.tsv", tmp_path / "plain"], unit="l2", linf=[0.01], dimension=3)
    assert [group.table.norm for group in both.groups] == ["degrees of rotation", "l2"]
    assert "Certified at degrees of rotation radii" in both.markdown
    assert both.groups[0].linf is None
    both.write(tmp_path / "out")
    assert "degrees of rotation" in (tmp_path / "out" / "report.tex").read_text()


def test_a_survey_goes_on_after_a_damaged_row():
    text = "idx label predict radius correct\n0 1 1 0.25 1\n1 1 1 x 1\n2 1 1 1e-3 1"
    found = survey_table(Path("log"), text)
    assert found.lines == (2, 4)
    assert found.radii == ("0.25", "1e-3")
    assert found.columns["radius"].tolist() == [0.25, 0.001]
    assert (found.separator, found.norm, found.ended) == ("spaces", "l2", False)
    [damaged] = found.damaged
    assert damaged.startswith("line 3: expected a decimal number as radius, got 'x'")
