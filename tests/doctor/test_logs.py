"""Reports on certification logs, with made faults that each are found by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsmooth.certify.proof.bounds import max_radius, radius_from_counts
from rsmooth.doctor.findings import Report
from rsmooth.doctor.logs import examine_table, recheck, stated_setting
from rsmooth.records.files import read_log, write_log
from rsmooth.records.log import CertificationLog

LARGEST = max_radius(0.25, 100_000, 0.001)  # 0.952864


def rows(count: int = 60) -> list[list[str]]:
    """A table of Cohen et al.'s, every 20th image, a third of them unanimous."""
    rng = np.random.default_rng(0)
    hits = 100_000 - np.where(np.arange(count) % 3 == 0, 0, rng.integers(1, 45_000, count))
    radii = radius_from_counts(hits, 100_000, 0.25, 0.001)
    made = []
    for at in range(count):
        label = at % 10
        predict = label if at % 4 else (label + 1) % 10
        made.append(
            [
                str(20 * at),
                str(label),
                str(predict),
                f"{radii[at]:.3}",
                str(int(predict == label)),
                "0:00:01.5",
            ]
        )
        made[-1][5] = "0:00:01.500000"
    return made


def table(path: Path, body: list[list[str]], header: str | None = None) -> Path:
    lines = [header or "idx\tlabel\tpredict\tradius\tcorrect\ttime", *("\t".join(r) for r in body)]
    path.write_text("\n".join(lines) + "\n")
    return path


def found(report: Report, mark: str) -> list[tuple[str, str]]:
    return [(each.topic, each.text) for each in report.findings if each.mark == mark]


def test_a_sound_table(tmp_path: Path) -> None:
    report = examine_table(table(tmp_path / "sigma_0.25", rows()))
    assert found(report, "wrong") == []
    facts = report.facts
    assert (facts["rows"], facts["subset"]) == (60, "every 20th image from 0 to 1180")
    assert facts["settings"] == [{"n": 100_000, "alpha": 0.001, "sigma": 0.25, "largest": LARGEST}]
    assert (facts["abstained"], facts["classes"], facts["impossible"]) == (0, 10, [])
    assert report.commands == [f"rsmooth report {tmp_path / 'sigma_0.25'}"]


@pytest.mark.parametrize(
    ("cell", "value", "words"),
    [
        (3, "-0.5", "expected a radius >= 0, got -0.5"),
        (3, "inf", "expected a finite radius"),
        (4, "1", "expected correct to be 1 exactly where predict equals label"),
        (2, "-2", "expected a predicted class >= 0"),
        (0, "20", "expected every idx once, got it again"),
        (2, "-1", "expected radius 0 for an abstention"),
        (5, "soon", "expected a decimal number, got 'soon'"),
    ],
)
def test_each_faulty_row_is_named(tmp_path: Path, cell: int, value: str, words: str) -> None:
    body = rows()
    body[8][cell] = value
    report = examine_table(table(tmp_path / "log.tsv", body))
    texts = [text for topic, text in found(report, "wrong") if topic == "row"]
    assert len(texts) == 1
    assert texts[0].startswith("line 10: ")
    assert words in texts[0]
    assert report.facts["faulty"] == 1
    assert report.commands == []  # since no verb reads it


def test_all_faulty_rows_are_counted(tmp_path: Path) -> None:
    body = rows()
    for row in body[:20]:
        row[3] = "-1.0"
    report = examine_table(table(tmp_path / "log.tsv", body))
    assert report.facts["faulty"] == 20
    assert ("row", "and 12 more cannot be read") in found(report, "wrong")


def test_radii_above_the_largest_possible_one(tmp_path: Path) -> None:
    body = rows()
    body[4][3], body[5][3] = "9.53", "0.999"
    report = examine_table(table(tmp_path / "log.tsv", body))
    assert report.facts["impossible"] == [80, 100]
    [(_, text)] = found(report, "wrong")
    assert text == (
        "2 exceed the largest that such samples can certify, 0.952864: line 6 (9.53), line 7 "
        "(0.999)"
    )


def test_a_name_that_says_another_sigma(tmp_path: Path) -> None:
    report = examine_table(table(tmp_path / "sigma_0.50", rows()))
    assert any("The name says sigma 0.5" in text for _, text in found(report, "look"))


def test_few_images_with_the_largest_radius_show_no_setting(tmp_path: Path) -> None:
    body = [row for row in rows() if row[3] != "0.953"]
    report = examine_table(table(tmp_path / "log.tsv", body))
    [text] = [text for topic, text in found(report, "look") if topic == "radii"]
    assert "give --sigma" in text
    said = examine_table(table(tmp_path / "log.tsv", body), sigma=0.25)
    assert any("sigma 0.25 needs n >=" in text for _, text in found(said, "look"))


def test_subsets_with_gaps_and_out_of_order(tmp_path: Path) -> None:
    body = rows()
    del body[7]
    report = examine_table(table(tmp_path / "log.tsv", body[::-1]))
    [text] = [text for topic, text in found(report, "look") if topic == "images"]
    assert "1 lack: 140" in text
    assert "not in the order" in text


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("idx\tlabel\tpredict\tlinf_radius\tcorrect\ttime", "which are linf radii by their name"),
        ("idx\tlabel\tpredict\texact_radius\tcorrect\ttime", "got exact_radius"),
        ("idx\tlabel\tpredict\tother\tcorrect\ttime", "without certified radii"),
    ],
)
def test_columns_that_are_no_radii(tmp_path: Path, header: str, words: str) -> None:
    report = examine_table(table(tmp_path / "log.tsv", rows(), header))
    [(topic, text)] = found(report, "wrong")
    assert topic == "columns"
    assert words in text


def test_a_unit_that_somebody_says(tmp_path: Path) -> None:
    header = "idx\tlabel\tpredict\texact_radius\tcorrect\ttime"
    report = examine_table(table(tmp_path / "log.tsv", rows(), header), unit="l2")
    assert report.facts["norm"] == "l2"
    assert report.commands == [f"rsmooth report {tmp_path / 'log.tsv'} --unit l2"]


@pytest.mark.parametrize("separator", [",", ";", " "])
def test_other_dialects_without_time(tmp_path: Path, separator: str) -> None:
    lines = [separator.join(["idx", "correct", "radius", "label", "predict", "stage"])]
    lines += [separator.join([r[0], r[4], r[3], r[1], r[2], "1"]) for r in rows()]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    report = examine_table(tmp_path / "log.csv")
    assert report.facts["rows"] == 60
    assert ("time", "not recorded") in found(report, "ok")
    [text] = [text for topic, text in found(report, "ok") if topic == "dialect"]
    assert "not read: stage" in text
    assert ("end", "the last line has no end: the table may have been cut off") in found(
        report, "look"
    )


@pytest.mark.parametrize(("constant", "words"), [("3", "class 3 only"), ("-1", "abstained")])
def test_one_answer_to_everything(tmp_path: Path, constant: str, words: str) -> None:
    body = rows()
    for row in body:
        row[2], row[4] = constant, str(int(row[1] == constant))
        row[3] = "0.0" if constant == "-1" else row[3]
    report = examine_table(table(tmp_path / "log.tsv", body))
    assert any(topic == "answers" and words in text for topic, text in found(report, "wrong"))


def test_one_class_that_is_all_right_is_no_constant_classifier(tmp_path: Path) -> None:
    body = rows()
    for row in body:
        row[1] = row[2] = "7"
        row[4] = "1"
    assert found(examine_table(table(tmp_path / "log.tsv", body)), "wrong") == []


def made(n: int = 1000, **change: Any) -> CertificationLog:
    hits = np.array([1000, 900, 800])
    counts = np.stack([hits, n - hits], axis=1)
    columns: dict[str, Any] = {
        "idx": np.arange(3),
        "label": np.zeros(3, dtype=int),
        "predict": np.zeros(3, dtype=int),
        "radius": radius_from_counts(hits, n, 0.25, 0.001),
        "correct": np.ones(3, dtype=bool),
        "time": np.ones(3),
        "counts": counts,
        "selection": counts,
        "samples": np.full(3, n),
        "invalid": np.zeros(3, dtype=int),
        "provenance": {"sigma": 0.25, "n": n, "alpha": 0.001, "mode": "fixed", "n0": 10},
    }
    return CertificationLog(**{**columns, **change})


def test_provenance_beside_the_table_counts(tmp_path: Path) -> None:
    write_log(made(), tmp_path / "a.tsv")
    report = examine_table(tmp_path / "a.tsv")
    assert [each["n"] for each in report.facts["settings"]] == [1000]
    assert any(topic == "record" for topic, _ in found(report, "ok"))
    setting = stated_setting(read_log(tmp_path / "a.tsv"))
    assert setting is not None
    assert setting.largest == max_radius(0.25, 1000, 0.001)


def test_radii_that_their_votes_do_not_give() -> None:
    assert recheck(made()) == []
    radius = made().radius.copy()
    radius[1] += 0.01
    assert recheck(made(radius=radius)) == [
        f"idx 1: radius {radius[1]:g}, more than its votes show"
    ]
    assert recheck(made(counts=None, selection=None, samples=None, invalid=None)) == []


def test_a_text_that_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"idx\xff\tlabel")
    with pytest.raises(ValueError, match=r"expected a text table, got .*a\.tsv, which is no UTF-8"):
        examine_table(tmp_path / "a.tsv")
