"""Our rows beside the published ones, on logs written by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsmooth.benchmarks.beside import _measured, write_csv
from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.report import report_runs
from rsmooth.records.files import write_log
from rsmooth.records.log import CertificationLog
from rsmooth.report.tables import Row, Table


def test_published_l2_rows_are_not_set_beside_other_norms(tmp_path: Path) -> None:
    """They are l2; an linf log stands beside the linf figures alone, at its own value."""
    radius = np.where(np.arange(500) < 425, 2 / 255, 0.0)
    log = CertificationLog.deterministic(
        np.ones(500, int),
        np.ones(500, int),
        radius,
        norm="linf",
        method="ibp",
        idx=20 * np.arange(500),
    )
    write_log(log, tmp_path / "ibp")
    text = report_runs(
        [tmp_path / "ibp"], title="x", reference="cifar10", linf=[2 / 255], out=tmp_path / "out"
    )
    assert "Beside the published tables" not in text
    beside = text.split("## Beside the published linf figures")[1]
    assert "| measured | ibp | linf, deterministic |  | 500 | 100.0 | 85.0 |  |" in beside
    assert (
        "| quoted | SmoothAdv P2 m8 e255 | l2, probabilistic | 0.12 | 500 | 80 | 62.2 |" in beside
    )
    assert (
        "| quoted | IBP (Gowal et al. 2018) | linf, deterministic |  | 10000 | 70.2 | 50 |"
        in beside
    )
    (cascade,) = (line for line in beside.splitlines() if "Kolter 2018 cascade" in line)
    assert "its rule proves nothing" in cascade
    assert "| - |  | 10000 | 64.1 | (63.6) |" in cascade
    assert not (tmp_path / "out" / "beside_published.csv").exists()


def test_ours_stand_beside_the_published_linf_figures_of_the_same_radius(tmp_path: Path) -> None:
    log = tmp_path / "sigma_0.25"  # 2/255 * sqrt(3072) = 0.434711
    rows = [f"{20 * i}\t1\t1\t{0.4348 if i < 100 else 0.43471}\t1\t1" for i in range(500)]
    log.write_text("\n".join(["idx\tlabel\tpredict\tradius\tcorrect\ttime", *rows]) + "\n")
    text = report_runs(
        [log], title="x", radii=[0.25], reference="cifar10", linf=[2 / 255, 0.001], dimension=3072
    )
    beside = text.split("## Beside the published linf figures")[1]
    header = "| method | certificate | σ | images | clean | linf 0.001 | linf 2/255 | table |"
    assert header in beside
    assert (
        "| measured | sigma_0.25 | l2, probabilistic |  | 500 | 100.0 | 100.0 | 20.0 |  |" in beside
    )
    assert (
        "| SmoothAdv P2 m8 e255 | l2, probabilistic | 0.12 | 500 | 80 |  | 62.2 | cifar10_linf"
        in beside
    )
    assert "| 64.1 |  | (63.6) |" in beside
    assert all("deterministic" in line for line in beside.splitlines() if "| 10000 |" in line)
    assert "published linf" not in report_runs(
        [log], title="x", reference="cifar10", linf=[0.001], dimension=3072
    )
    assert main(["report", str(log), "--linf", "2/255", "4/255", "--dimension", "3072"]) == 0
    assert main(["report", str(log), "--linf", "2/255"]) == 2


def test_ours_stand_beside_the_published_rows_of_the_same_images(out: Path, tmp_path: Path) -> None:
    log = tmp_path / "sigma_0.25"
    rows = [
        f"{20 * i}\t1\t{1 if i % 2 else -1}\t{0.5 if i % 2 else 0.0}\t{i % 2}\t0:00:01"
        for i in range(500)
    ]
    log.write_text("\n".join(["idx\tlabel\tpredict\tradius\tcorrect\ttime", *rows]) + "\n")
    text = report_runs(
        [log], title="x", radii=[0.25, 0.5], reference="cifar10", out=tmp_path / "report"
    )
    assert "on 500 images of the test set, ours on the same ones" in text
    assert "| measured | sigma_0.25 |" in text
    assert (
        "| quoted | SmoothAdv P2 m8 e255 (run) | 0.25 | 500 | 73.2 | 64.8 | 55.6 | 0.537 |" in text
    )
    assert "| 10000 |" not in text.split("## Beside")[1]
    assert (
        "quoted,SmoothAdv P2 m8 e255" in (tmp_path / "report" / "beside_published.csv").read_text()
    )
    assert "on other images than any published table" in report_runs(
        [out / "first"], title="x", reference="cifar10"
    )
    with pytest.raises(ValueError, match="expected reference to be one of cifar10, imagenet"):
        report_runs([log], title="x", reference="mnist")


@pytest.mark.parametrize(
    ("idx", "reference", "same"),
    [
        (range(0, 10_000, 20), "cifar10", 500),
        (range(10_000), "cifar10", 10_000),
        (range(0, 50_000, 100), "imagenet", 500),
        (range(500), "cifar10", None),  # as many, but the first ones
        (range(0, 20_000, 40), "cifar10", None),
        (range(0, 10_000, 20), "imagenet", None),
        (range(0, 2_000, 20), "cifar10", None),  # unfinished
    ],
)
def test_only_the_published_images_are_called_the_same(
    idx: range, reference: str, same: int | None, tmp_path: Path
) -> None:
    rows = [f"{each}\t1\t1\t0.6\t1\t1" for each in idx]
    log = tmp_path / "sigma_0.25"
    log.write_text("\n".join(["idx\tlabel\tpredict\tradius\tcorrect\ttime", *rows]) + "\n")
    text = report_runs([log], title="x", radii=[0.5], reference=reference)
    if same is None:
        assert "Ours are on other images than any published table" in text
        return
    assert f"on {same:,} images of the test set, ours on the same ones" in text
    sizes = {row.split("|")[4].strip() for row in text.split("\n") if row.startswith("| quoted")}
    assert str(same) in sizes <= {str(same), ""}


def test_a_lower_bound_of_the_average_radius_is_marked(tmp_path: Path) -> None:
    exact = Row("fixed", (0.75, 0.5), acr=0.3)
    table = Table((0.25,), (exact, replace(exact, name="grid", acr_is_bound=True)))
    assert [_measured(row).count("≥ 0.300") for row in table.rows] == [0, 1]
    write_csv(table, [], tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        assert [row["acr_is_lower_bound"] for row in csv.DictReader(file)] == ["False", "True"]
