"""Exact samples on a published log, written by hand."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsmooth.benchmarks import published_samples
from rsmooth.benchmarks.certify_samples import main
from rsmooth.benchmarks.published_samples import vote_shares
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.records import read_log

HITS = [55_000, 80_000, 99_000, 100_000]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return published(tmp_path, 0.001)


def published(tmp_path: Path, alpha: float) -> Path:
    """Four certificates as the published code prints them, and an abstention."""
    radii = radius_from_counts(np.array(HITS), 100_000, 0.25, alpha)
    rows = [f"{at}\t1\t1\t{r:.3}\t1\t0:00:01" for at, r in enumerate(radii)]
    path = tmp_path / "log_sigma_0.25.tsv"
    lines = ["idx\tlabel\tpredict\tradius\tcorrect\ttime", *rows, "4\t1\t-1\t0.0\t0\t0:00:01"]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("alpha", [0.001, 0.01])
def test_shares_are_those_behind_the_radii(
    alpha: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three printed digits of a radius leave the share open by under half a percent."""
    shares = []

    def kept(*arguments: Any) -> Any:
        shares.append(vote_shares(*arguments))
        return shares[-1]

    monkeypatch.setattr(published_samples, "vote_shares", kept)
    monkeypatch.setattr(published_samples, "_modes", lambda *_: [])
    path = published(tmp_path, alpha)
    assert published_samples.rows_of_logs(Namespace(logs=[path], sigmas=[0.25])) == []
    [found] = shares
    assert found[:4] == pytest.approx(np.array(HITS) / 100_000, abs=5e-3)
    assert found[3:].tolist() == [pytest.approx(1.0, abs=1e-4), 0.5]
    # Tighter: the same bound at this alpha prints the same three digits.
    radii = radius_from_counts(np.rint(found[:4] * 100_000).astype(int), 100_000, 0.25, alpha)
    assert [f"{r:.3}" for r in radii] == [f"{r:.3g}" for r in read_log(path).radius[:4]]


def test_every_radius_and_the_grid_have_a_row(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = tmp_path / "found"
    assert main(["--logs", str(log), "--sigmas", "0.25", "--out", str(stem)]) == 0
    assert "Wald bound" in capsys.readouterr().out
    rows = json.loads(Path(f"{stem}.json").read_text())["rows"]
    assert [row["mode"].split()[0] for row in rows] == [*["radius"] * 4, "grid"]
    for row in rows:
        assert row["wald_bound"] < row["samples_now"] - row["selection_now"]
        assert row["samples_now"] < row["samples_before"]
        assert row["accuracy_now"] == pytest.approx(row["accuracy_before"], abs=0.01)
    assert rows[0]["accuracy_now"] == pytest.approx(3 / 5, abs=1e-5)


def test_each_log_needs_its_sigma(log: Path) -> None:
    with pytest.raises(ValueError, match="one of --sigmas per log, got 2 for 1"):
        main(["--logs", str(log), "--sigmas", "0.25", "0.5"])
