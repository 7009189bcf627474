"""Logs in every dialect read back to the same table; damaged ones name file and line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsmooth.certify.proof.bounds import max_radius
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log, record_files, write_log
from rsmooth.records.journal import Journal
from rsmooth.records.log import COLUMNS, CertificationLog, check_same_images, image_difference
from rsmooth.records.metrics import abstention_rate, average_certified_radius, certified_accuracy
from rsmooth.records.published import parse_seconds
from rsmooth.report.caveats import overstated

HEAD = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
SECONDS = HEAD + "0\t3\t3\t0.378\t1\t15.5\n20\t7\t-1\t0.0\t0\t14\n40\t4\t2\t0.25\t0\t93600.25\n"
CLOCK = (
    HEAD + "0\t3\t3\t0.378\t1\t0:00:15.500000\n20\t7\t-1\t0.0\t0\t0:00:14\n"
    "40\t4\t2\t0.25\t0\t1 day, 2:00:00.250000\n"
)
FOUR_DECIMALS = (
    CLOCK.replace("0.378", "0.3780").replace("\t0.0\t", "\t0.0000\t").replace("0.25\t", "0.2500\t")
)
EXPONENT = SECONDS.replace("\t0.25", "\t2.5e-01")
HEADER = {"sigma": 0.25, "n0": 10, "n": 100, "alpha": 0.001, "mode": "fixed", "seed": 0}


def image(idx, label=3, predict=3, radius=0.2, **more):
    return {
        "idx": idx,
        "label": label,
        "predict": predict,
        "radius": radius,
        "correct": predict == label,
        "seconds": 1.5,
        "counts": [5, 5, 0, 90],
        "selection": [1, 0, 0, 9],
        "invalid": 0,
        "n0": 10,
        "n": 100,
        **more,
    }


def write_journal(path, images, header=HEADER):
    with Journal(path, header) as journal:
        for record in images:
            journal.append("look", {"idx": record["idx"]})
            journal.append("image", record)


def assert_same_table(first, second):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


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
        ("", 1, "expected the tab-separated header"),
        ("0\t3\t3\t0.378\t1\t15.5\n", 1, "expected the tab-separated header"),
        (HEAD.replace("\t", " "), 1, "expected the tab-separated header"),
        (SECONDS[:-20], 4, "expected 6 tab-separated values"),
        (CLOCK[:-3], 4, "expected a decimal number, got '1 day, 2:00:00.2500'"),
        (SECONDS.replace("14\n", "14\n\n"), 4, "expected 6 tab-separated values"),
        (SECONDS.replace("0.378", "nan"), 2, "expected a decimal number, got 'nan'"),
        (SECONDS.replace("0.378", "inf"), 2, "expected a decimal number"),
        (SECONDS.replace("0.378", "-0.378"), 2, "expected a decimal number"),
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


def some_log(**change):
    columns = {
        "idx": [4, 2],
        "label": [3, 1],
        "predict": [3, -1],
        "radius": [1 / 3, 0.0],
        "correct": [True, False],
        "time": [1.25, 3.0],
        "provenance": HEADER,
    }
    return CertificationLog(**{**columns, **change})


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
    ],
)
def test_contradicting_columns_are_refused(change, reason):
    with pytest.raises(RecordError, match=reason):
        some_log(**change)


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
    """Published logs print 0.2496 as 0.25, and then count it at 0.25; unanimous votes as 0.953 at
    sigma 0.25.
    """
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
    assert_same_table(
        log, some_log()
    )  # blanks of the JSON, or the name of a key that is not needed
    assert log.provenance == HEADER


def test_provenance_without_a_checksum_of_its_own_is_read(tmp_path):
    """As exports of the first version have it."""
    write_log(some_log(), tmp_path / "log")
    beside = json.loads((tmp_path / "log.json").read_text())
    del beside["provenance_sha256"]
    (tmp_path / "log.json").write_text(json.dumps(beside))
    assert read_log(tmp_path / "log").provenance == HEADER


def test_a_journal_and_a_run_folder_read_as_a_log(tmp_path):
    write_journal(
        tmp_path / "certificates.jsonl", [image(7), image(2, label=1, predict=-1, radius=0.0)]
    )
    for path in (tmp_path, tmp_path / "certificates.jsonl"):
        log = read_log(path)
        assert log.idx.tolist() == [2, 7]
        assert log.predict.tolist() == [-1, 3]
        assert log.correct.tolist() == [False, True]
        assert log.time.tolist() == [1.5, 1.5]
        assert log.counts.tolist() == [[5, 5, 0, 90]] * 2
        assert log.selection.tolist() == [[1, 0, 0, 9]] * 2
        assert log.samples.tolist() == [100, 100]
        assert log.invalid.tolist() == [0, 0]
        assert log.provenance == HEADER


def test_a_log_without_selection_has_none(tmp_path):
    write_journal(tmp_path / "j", [image(1, selection=None), image(2, selection=None)])
    assert read_log(tmp_path / "j").selection is None


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (
            [image(1), image(1, radius=0.3)],
            r"line 5: expected one certificate for idx 1.*line 3 in radius \(0.2, here 0.3",
        ),
        ([image(1), image(2, correct=False)], "line 5: expected correct to be 1 exactly where"),
        (
            [image(1), {"idx": 2}],
            "line 5: expected correct, label, predict, radius, seconds in an image record",
        ),
        ([], "expected certificates in"),
    ],
)
def test_a_contradicting_journal_is_refused(tmp_path, images, reason):
    write_journal(tmp_path / "j", images)
    with pytest.raises(RecordError, match=reason):
        read_log(tmp_path / "j")


def test_the_same_certificate_twice_is_fine(tmp_path):
    write_journal(tmp_path / "j", [image(1), image(2), image(1, seconds=9.0)])
    assert read_log(tmp_path / "j").time.tolist() == [1.5, 1.5]


def test_a_run_folder_is_its_journals_and_no_other_file(tmp_path):
    write_journal(tmp_path / "certificates.jsonl", [image(7)])
    write_journal(tmp_path / "certificates-more.jsonl", [image(7)], {**HEADER, "seed": 1})
    assert record_files(tmp_path) == [tmp_path / "certificates.jsonl"]
    assert read_log(tmp_path).provenance["seed"] == 0
    assert record_files(tmp_path / "certificates-more.jsonl") == [
        tmp_path / "certificates-more.jsonl"
    ]


def test_shards_of_ranks_are_merged_whatever_their_number(tmp_path):
    for number, part in enumerate([[0, 3, 6], [1, 4], [2, 5], []]):
        write_journal(tmp_path / f"certificates.rank{number}.jsonl", [image(idx) for idx in part])
    write_journal(
        tmp_path / "certificates.jsonl", [image(3), image(7)]
    )  # begun by a single process
    log = read_log(tmp_path)
    assert log.idx.tolist() == list(range(8))
    assert log.counts.shape == (8, 4)


def test_shards_that_do_not_fit_are_refused(tmp_path):
    write_journal(tmp_path / "certificates.rank0.jsonl", [image(0), image(1)])
    write_journal(tmp_path / "certificates.rank1.jsonl", [image(1, counts=[6, 4, 0, 90])])
    with pytest.raises(RecordError, match="counts differs between shards at idx 1"):
        read_log(tmp_path)
    other = tmp_path / "other"
    write_journal(other / "certificates.rank0.jsonl", [image(0)])
    write_journal(other / "certificates.rank1.jsonl", [image(1)], {**HEADER, "sigma": 0.5})
    with pytest.raises(RecordError, match=r"differ in sigma \(0.25, here 0.5\)"):
        read_log(other)
    with pytest.raises(FileNotFoundError, match=r"expected certificates\.jsonl"):
        read_log(Path(__file__).parent)


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


def test_overstated_counts_what_no_vote_can_give():
    cap = max_radius(0.25, 100_000, 0.001)
    assert f"{cap:.3g}" == "0.953"
    log = some_log(
        idx=[1, 2, 3],
        label=[0] * 3,
        predict=[0] * 3,
        radius=[0.953, cap, 0.9],
        correct=[1] * 3,
        time=[0] * 3,
    )
    assert overstated(log, cap) == 1


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


@pytest.mark.parametrize(
    "votes",
    [
        {"counts": [[60, 50]], "samples": [100]},
        {"counts": [[60, 30]], "samples": [100], "invalid": [0]},
        {"counts": [[120, -20]], "samples": [100], "invalid": [0]},
    ],
)
def test_votes_are_one_a_sample(votes):
    row = {"idx": [7], "label": [0], "predict": [0], "radius": [0.1], "correct": [1], "time": [1.0]}
    CertificationLog(**row, counts=[[60, 30]], samples=[100], invalid=[10])
    with pytest.raises(RecordError, match="expected one vote per sample at idx 7"):
        CertificationLog(**row, **votes)
