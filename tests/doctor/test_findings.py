"""Reports read well, and as plain values."""

from __future__ import annotations

import json

import numpy as np

from rsmooth.doctor.findings import Finding, Report, listed, plain


def test_a_report_in_words() -> None:
    report = Report("net.pth", "a raw state dict")
    report.add("ok", "prefix", "none")
    report.add("wrong", "weights", "NaN in fc.weight", bad=["fc.weight"])
    report.tables["accuracy"] = ["90 %"]
    report.commands.append("rsmooth list")
    assert report.text().splitlines() == [
        "net.pth: a raw state dict",
        "",
        "ok     prefix   none",
        "wrong  weights  NaN in fc.weight",
        "",
        "accuracy",
        "  90 %",
        "",
        "next:",
        "  rsmooth list",
    ]
    assert report.marked("wrong", "look") == [Finding("wrong", "weights", "NaN in fc.weight")]


def test_long_findings_are_wrapped_under_their_text() -> None:
    report = Report("f", "k")
    report.add("look", "topic", "word " * 40)
    lines = report.text().splitlines()[2:]
    assert max(map(len, lines)) <= 100
    assert all(line.startswith(" " * 14 + "word") for line in lines[1:])


def test_a_report_for_machines() -> None:
    report = Report("f", "k")
    report.add("ok", "t", "x", radii=np.array([0.5]), count=np.int64(3), setting=(1, None))
    record = json.loads(json.dumps(report.record()))
    assert record["findings"] == [{"mark": "ok", "topic": "t", "text": "x"}]
    assert record["facts"] == {"radii": 0.5, "count": 3, "setting": [1, None]}
    assert plain({1: float("nan"), "a": {2.0}}) == {"1": "nan", "a": [2.0]}


def test_lists_are_cut() -> None:
    assert listed([1, 2, 3], 2) == "1, 2 and 1 more"
