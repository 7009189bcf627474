"""The table of methods: made from records alone, and put between the marks of a page."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsmooth.benchmarks.defence_table import BEGIN, COSTS, END, ROWS, main, table, with_table
from rsmooth.benchmarks.method_cost import methods
from rsmooth.records import CertificationLog, read_log, write_log

REFERENCE = ["method", "sigma", "images", "acr"]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Costs of two methods, three seeds of one on the digits and two on CIFAR-10."""
    rows = [
        {"method": "gaussian", "formula": 1.0, "ratio": 1.0, "ratio_range": [1.0, 1.0]},
        {"method": "macer", "formula": 16.0, "ratio": 15.25, "ratio_range": [14.0, 17.04]},
    ]
    (tmp_path / COSTS).write_text(json.dumps({"rows": rows}))
    for name, radii in (
        ("defences-digits/macer-seed0", [0.1, 0.3]),
        ("defences-digits/macer-seed1", [0.2, 0.4]),
        ("defences-digits/macer-seed2", [0.4, 0.3]),
        ("defences-cifar10-cpu/macer", [0.5, 0.1]),
        ("defences-cifar10-cpu/macer-seed1", [0.5, 0.2]),
    ):
        (tmp_path / name).mkdir(parents=True)
        zeros = np.zeros(2, dtype=np.int64)
        log = CertificationLog(
            idx=np.arange(2),
            label=zeros,
            predict=zeros,
            radius=np.array(radii),
            correct=np.array([True, True]),
            time=np.zeros(2),
        )
        write_log(log, tmp_path / name / "certificates.tsv")
    with (tmp_path / "reference.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([REFERENCE, ["MACER", "0.25", "10000", "0.531"]])
        writer.writerows([["MACER", "0.25", "10000", "0.529"], ["MACER", "0.5", "10000", "0.691"]])
        writer.writerows([["MACER", "0.25", "500", "0.9"]])
    return tmp_path


def cells(made: str, method: str) -> list[str]:
    (line,) = (line for line in made.splitlines() if f"`{method}`" in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_cell_comes_from_a_record(records: Path) -> None:
    made = table(records, records / "reference.csv")
    assert cells(made, "macer")[3:] == [
        "16.0",
        "15.2 (14.0 to 17.0)",
        "0.531, 0.529",
        "0.283 ± 0.076",
        "0.300, 0.350",
    ]
    assert cells(made, "gaussian")[3:] == ["1.0", "1.00", "-", "-", "-"]
    assert cells(made, "cat-rs")[3:] == ["-"] * 5
    assert made.splitlines()[0].endswith("| ACR published | ACR digits | ACR CIFAR-10, one core |")


def test_a_lower_bound_is_marked(records: Path) -> None:
    path = records / "defences-cifar10-cpu" / "macer" / "certificates.tsv"
    decided = {"mode": "grid", "mode_options": {"radii": [0.1, 0.5]}}
    log = replace(read_log(path), provenance=decided)
    for file in path.parent.iterdir():
        file.unlink()
    write_log(log, path)
    assert cells(table(records, records / "reference.csv"), "macer")[-1] == "≥ 0.300, ≥ 0.350"


def test_columns_without_runs_are_left_out(tmp_path: Path, records: Path) -> None:
    only = tmp_path / "only"
    only.mkdir()
    with pytest.raises(ValueError, match=r"got no such file; .* method-cost writes it"):
        table(only, records / "reference.csv")
    (only / COSTS).write_text((records / COSTS).read_text())
    assert table(only, records / "reference.csv").splitlines()[0].endswith("| ACR published |")


def test_it_is_written_between_the_marks(records: Path) -> None:
    page = records / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["--results", str(records), "--page", str(page)]) == 0
    once = page.read_text()
    assert once.startswith(f"before\n{BEGIN}\n\n| method |")
    assert once.endswith(f"\n{END}\nafter\n")
    assert "old" not in once
    assert main(["--results", str(records), "--page", str(page)]) == 0
    assert page.read_text() == once
    with pytest.raises(ValueError, match=r"in page\.md, got none; add them"):
        with_table("no marks", "table", Path("page.md"))


def test_it_has_the_methods_whose_cost_is_measured() -> None:
    assert [row.name for row in ROWS] == [method.name for method in methods()]
