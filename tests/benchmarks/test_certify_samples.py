"""Samples of each mode, in sizes that take seconds and on votes written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsmooth.benchmarks.certify_samples import Stream, _decide, main
from rsmooth.certify.proof.bounds import lower_confidence_bound
from rsmooth.certify.proof.rules import stopping_rule
from rsmooth.noise import Gaussian


def test_a_mode_decides_at_its_own_looks() -> None:
    """The fixed mode reads the last look; all hits give the largest radius, few an abstention."""
    rule = stopping_rule("fixed", 0.5, 1000, 0.001)
    stream = Stream(np.array([3, 4]), (100, 1000), np.array([[100, 1000], [20, 300]]))
    radius, samples = _decide(rule, stream)
    expected = Gaussian(0.5).radius(lower_confidence_bound(1000, 1000, 0.001))
    assert radius.tolist() == pytest.approx([float(expected), -1.0])
    assert samples.tolist() == [1000, 1000]


def test_every_mode_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem = tmp_path / "samples"
    tiny = ["--sigmas", "0.25", "--epochs", "1", "--images", "5", "--n", "2000"]
    assert main([*tiny, "--precision", "float32", "--out", str(stem)]) == 0
    table = capsys.readouterr().out.strip()
    assert Path(f"{stem}.md").read_text().strip() == table
    rows = json.loads(Path(f"{stem}.json").read_text())["rows"]
    assert {row["model"] for row in rows} == {"gaussian", "smoothadv"}
    fixed = [row for row in rows if row["mode"] == "fixed"]
    assert all(row["mean_samples"] == 2000 for row in fixed)
    assert all(row["mean_samples"] <= 2000 for row in rows)
    assert sum(row["mode"].startswith("radius") for row in rows) == 6
