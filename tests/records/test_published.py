"""Published tables: every dialect reads as the same table, and damage is named with its line.

They are read as users do it, by ``read_log``.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsmooth.certify.proof.bounds import max_radius
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.dialects import parse_seconds
from rsmooth.records.files import read_log, write_log
from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import abstention_rate, average_certified_radius, certified_accuracy
from tests.records.by_hand import (
    HEAD,
    HEADER,
    ROW,
    UNIFORM,
    assert_same_table,
    some_log,
)


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
        ("radius_l3", {}, "log, line 1: expected radii in a column .*, got radius_l3"),
        ("radius_l2", {}, "log, line 1: expected radii in .* got radius_l2, which are l2"),
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


SECONDS = HEAD + "0\t3\t3\t0.378\t1\t15.5\n20\t7\t-1\t0.0\t0\t14\n40\t4\t2\t0.25\t0\t93600.25\n"


CLOCK = (
    HEAD + "0\t3\t3\t0.378\t1\t0:00:15.500000\n20\t7\t-1\t0.0\t0\t0:00:14\n"
    "40\t4\t2\t0.25\t0\t1 day, 2:00:00.250000\n"
)


FOUR_DECIMALS = (
    CLOCK.replace("0.378", "0.3780").replace("\t0.0\t", "\t0.0000\t").replace("0.25\t", "0.2500\t")
)


EXPONENT = SECONDS.replace("\t0.25", "\t2.5e-01")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SECONDS, id="seconds"),
        pytest.param(CLOCK, id="clock"),
        pytest.param(FOUR_DECIMALS, id="decimals"),
        pytest.param(EXPONENT, id="exponent"),
        pytest.param(SECONDS.replace("\n", "\r\n"), id="crlf"),
        pytest.param(SECONDS[:-1], id="no last line end"),
        pytest.param("\ufeff" + CLOCK, id="byte order mark"),
    ],
)
def test_every_published_dialect_reads_as_the_same_table(tmp_path, text):
    (tmp_path / "sigma_0.25").write_bytes(text.encode())
    log = read_log(tmp_path / "sigma_0.25")
    assert_same_table(
        log,
        CertificationLog(
            idx=[0, 20, 40],
            label=[3, 7, 4],
            predict=[3, -1, 2],
            radius=[0.378, 0.0, 0.25],
            correct=[1, 0, 0],
            time=[15.5, 14.0, 93600.25],
        ),
    )
    assert log.counts is None
    assert log.provenance == {}


def test_a_missing_last_line_end_is_said(tmp_path, caplog):
    (tmp_path / "log").write_text(SECONDS)
    read_log(tmp_path / "log")
    assert not caplog.text
    (tmp_path / "log").write_text(SECONDS[:-1])
    read_log(tmp_path / "log")
    assert "the last line has no end" in caplog.text


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "expected the columns idx"),
        ("0\t3\t3\t0.378\t1\t15.5\n", 1, "expected the columns idx"),
        (SECONDS[:-20], 4, "expected 6 values separated by tabs"),
        (CLOCK[:-3], 4, "expected a decimal number, got '1 day, 2:00:00.2500'"),
        (SECONDS.replace("14\n", "14\n\n"), 4, "expected 6 values separated by tabs"),
        (SECONDS.replace("0.378", "nan"), 2, "expected a decimal number as radius, got 'nan'"),
        (SECONDS.replace("0.378", "inf"), 2, "expected a finite radius"),
        (SECONDS.replace("0.378", "-0.378"), 2, "expected a radius >= 0"),
        (SECONDS.replace("0.378", "1e999"), 2, "expected a finite radius"),
        (SECONDS.replace("15.5", "0:00:99"), 2, "expected a decimal number"),
        (SECONDS.replace("20\t7", "2x\t7"), 3, "expected an integer of 64 bits, got '2x'"),
        (SECONDS.replace("-1\t0.0", "-1\t0.1"), 3, "expected radius 0 for an abstention"),
        (SECONDS.replace("-1\t0.0", "-2\t0.0"), 3, "expected a predicted class"),
        (SECONDS.replace("40\t4", "20\t4"), 4, "expected every idx once"),
        (SECONDS.replace("40\t4", "-40\t4"), 4, "expected idx and label >= 0"),
        (SECONDS.replace("0.25\t0", "0.25\t2"), 4, "some tools write the running number"),
        (SECONDS.replace("0.25\t0", "0.25\t1"), 4, "some tools write the running number"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, text, line, reason):
    (tmp_path / "log").write_text(text)
    with pytest.raises(RecordError, match=f"log, line {line}: .*{reason}".replace("'", ".")):
        read_log(tmp_path / "log")


def test_an_empty_table_and_bytes_are_refused(tmp_path):
    (tmp_path / "log").write_text(HEAD)
    with pytest.raises(RecordError, match="expected certificates in"):
        read_log(tmp_path / "log")
    (tmp_path / "log").write_bytes(SECONDS.encode() + b"\xff\n")
    with pytest.raises(RecordError, match="line 5: expected a text table"):
        read_log(tmp_path / "log")
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "nothing")


@pytest.mark.parametrize(
    "text", ["0:00:14.17", "0:0:14", "00:14", "-1 day, 0:00:01", "1e", ".5", "5.", "", "٣"]
)
def test_times_in_no_dialect_are_refused(text):
    with pytest.raises(ValueError, match="expected a decimal number"):
        parse_seconds(text)


def test_time_with_days():
    assert parse_seconds("2 days, 3:04:05.500000") == 2 * 86400 + 3 * 3600 + 4 * 60 + 5.5


def test_export_keeps_every_digit_and_its_provenance(tmp_path):
    log = some_log()
    write_log(log, tmp_path / "certificates.tsv")
    assert (tmp_path / "certificates.tsv").read_text() == (
        HEAD + "2\t1\t-1\t0.0\t0\t0:00:03\n4\t3\t3\t0.3333333333333333\t1\t0:00:01.250000\n"
    )
    for path in (tmp_path / "certificates.tsv", tmp_path):
        assert_same_table(read_log(path), log)
        assert read_log(path).provenance == HEADER
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "certificates.tsv",
        "certificates.tsv.json",
    ]


@given(st.floats(0, 1e3, allow_subnormal=False), st.floats(0, 1e6))
@settings(max_examples=60, deadline=None)
def test_export_never_rounds_a_radius(tmp_path_factory, radius, seconds):
    path = tmp_path_factory.mktemp("log") / "log"
    write_log(some_log(radius=[radius, 0.0], time=[seconds, 0.0]), path)
    again = read_log(path)
    assert again.radius[1] == radius
    assert again.time[1] == pytest.approx(seconds, abs=1e-6)


def test_the_largest_index_can_be_read_again_and_no_larger_one(tmp_path):
    """Images without an index are numbered by 63 bits of a hash."""
    path = tmp_path / "log"
    write_log(some_log(idx=[2**63 - 1, 10**18]), path)
    assert read_log(path).idx.tolist() == [10**18, 2**63 - 1]
    (tmp_path / "log.json").unlink()
    path.write_text(path.read_text().replace(str(2**63 - 1), str(2**63)))
    with pytest.raises(
        RecordError, match="line 3: expected an integer of 64 bits, got '9223372036854775808'"
    ):
        read_log(path)


def test_a_radius_below_a_threshold_stays_below_it_after_export(tmp_path):
    """Published logs print 0.2496 as 0.25 and count it there; unanimous votes as 0.953."""
    largest = max_radius(0.25, 100_000, 0.001)
    write_log(
        some_log(radius=[0.2496, largest], predict=[3, 1], correct=[True, True]), tmp_path / "log"
    )
    assert certified_accuracy(
        read_log(tmp_path / "log"), [0.2496, 0.25, 0.9528, 0.953]
    ).tolist() == [1, 0.5, 0.5, 0]


def test_a_table_cut_at_a_line_end_is_noticed_by_its_provenance(tmp_path):
    write_log(some_log(), tmp_path / "log")
    lines = (tmp_path / "log").read_text().splitlines(keepends=True)
    (tmp_path / "log").write_text("".join(lines[:-1]))
    with pytest.raises(RecordError, match="log, line 3: expected the 2 rows whose checksum"):
        read_log(tmp_path / "log")
    (tmp_path / "log.json").write_text('{"rows": 2}')
    with pytest.raises(RecordError, match=r"log\.json: expected the provenance of log"):
        read_log(tmp_path / "log")


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_an_export_with_a_flipped_bit_or_cut_off_never_reads_as_something_else(
    tmp_path_factory, data
):
    path = tmp_path_factory.mktemp("fuzz") / "log"
    write_log(some_log(), path)
    damaged = data.draw(st.sampled_from([path, path.with_name("log.json")]))
    content = bytearray(damaged.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    damaged.write_bytes(content)
    try:
        log = read_log(path)
    except RecordError:
        return
    # Only blanks of the JSON have changed, or the name of a key that is not needed.
    assert_same_table(log, some_log())
    assert log.provenance == HEADER


def early_export(folder, checksum=False):
    """What exports held before the checksums had a place of their own, or a log had two."""
    write_log(some_log(), folder / "log")
    beside = json.loads((folder / "log.json").read_text())
    found = beside.pop("checksums")
    early = {**beside, "sha256": found["table"]}
    early |= {"provenance_sha256": found["provenance"]} if checksum else {}
    (folder / "log.json").write_text(json.dumps(early))
    return early


def test_provenance_without_a_checksum_of_its_own_is_read_and_that_is_said(tmp_path, caplog):
    """As exports of the first version have it."""
    early_export(tmp_path)
    assert read_log(tmp_path / "log").provenance == HEADER
    assert "log.json is an early export without a checksum of the provenance" in caplog.text


def test_an_early_export_with_both_checksums_is_read_in_silence(tmp_path, caplog):
    early = early_export(tmp_path, checksum=True)
    assert read_log(tmp_path / "log").provenance == HEADER
    assert not caplog.text
    early["provenance"]["n"] = 7
    (tmp_path / "log.json").write_text(json.dumps(early))
    with pytest.raises(RecordError, match="another checksum than the recorded one"):
        read_log(tmp_path / "log")


def test_no_exchange_or_loss_of_lines_hides_the_checksum_of_an_export(tmp_path):
    write_log(some_log(), tmp_path / "log")
    lines = (tmp_path / "log.json").read_text().splitlines(keepends=True)
    read = 0
    for i in range(len(lines)):
        for j in range(i, len(lines)):
            changed = list(lines)
            changed[i], changed[j] = changed[j], changed[i]
            for text in {"".join(changed), "".join(changed[:i] + changed[j + 1 :])} - {
                "".join(lines)
            }:
                (tmp_path / "log.json").write_text(text)
                try:
                    assert read_log(tmp_path / "log").provenance == HEADER
                    read += 1
                except RecordError:
                    pass
    assert read < 20  # lines of one object that changed places


@pytest.mark.parametrize("early", [False, True])
def test_a_checksum_under_a_misspelt_name_is_missed(tmp_path, early):
    if early:
        early_export(tmp_path, checksum=True)
    else:
        write_log(some_log(), tmp_path / "log")
    text = (tmp_path / "log.json").read_text()
    misspelt = text.replace("provenance_sha256" if early else "checksums", "checksumz")
    (tmp_path / "log.json").write_text(misspelt)
    with pytest.raises(RecordError, match=r"log.json: expected .* and the checksums of both, got"):
        read_log(tmp_path / "log")


PUBLISHED = os.environ.get("RSMOOTH_PUBLISHED_LOGS")


# as in the papers' tables, recomputed from the logs: clean and certified accuracy in %, ACR,
# abstained %
ROWS = {
    "cohen_cifar10_500_sigma_0.25.tsv": (
        [0, 0.25, 0.5, 0.75],
        [74.8, 60.0, 42.8, 26.6],
        0.429,
        8.6,
    ),
    "cohen_cifar10_10k_sigma_1.00.tsv": (
        np.arange(10) / 4,
        [47.1, 40.9, 33.8, 27.7, 22.1, 17.2, 13.3, 9.7, 6.6, 4.3],
        0.511,
        29.5,
    ),
    "cohen_imagenet_427_sigma_0.25.tsv": ([0, 0.5], [66.7, 49.4], 0.477, None),
}


@pytest.mark.skipif(
    not PUBLISHED, reason="set RSMOOTH_PUBLISHED_LOGS to the folder of published logs to run this"
)
@pytest.mark.parametrize("name", ROWS)
def test_published_logs_give_the_published_rows(name):
    radii, accuracies, acr, abstained = ROWS[name]
    log = read_log(Path(PUBLISHED or "") / name)
    np.testing.assert_allclose(100 * certified_accuracy(log, radii), accuracies, atol=0.0501)
    assert average_certified_radius(log) == pytest.approx(acr, abs=5e-4)
    assert abstained is None or 100 * abstention_rate(log) == pytest.approx(abstained, abs=0.0501)


def test_provenance_is_plain_json(tmp_path):
    write_log(some_log(), tmp_path / "log")
    beside = json.loads((tmp_path / "log.json").read_text())
    assert beside["provenance"] == HEADER
    assert beside["rows"] == 2


def test_provenance_may_hold_numbers_of_numpy(tmp_path):
    given = {**HEADER, "n": np.int64(100), "seeds": np.arange(2)}
    write_log(some_log(provenance=given), tmp_path / "log")
    assert read_log(tmp_path / "log").provenance == {**HEADER, "n": 100, "seeds": [0, 1]}
