"""What fewer samples cost: hits found again from radii, and expectations by another way."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.sample_cap import bounds, cost
from rsmooth.certify import lower_confidence_bound
from rsmooth.noise.distributions import Gaussian
from rsmooth.records.files import read_log

ALPHA, SIGMA = 0.001, 0.25
HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
HITS = [600, 730, 1000, 990]


def log(path: Path, hits: list[int] = HITS, n: int = 1000) -> Path:
    """A published table of right answers with these hits, a wrong one and an abstention."""
    radii = [Gaussian(SIGMA).radius(lower_confidence_bound(k, n, ALPHA)) for k in hits]
    rows = [f"{i}\t1\t1\t{radius:.4}\t1\t0:00:01\n" for i, radius in enumerate(radii)]
    rows += ["8\t1\t2\t0.3\t0\t0:00:01\n", "9\t1\t-1\t0.0\t0\t0:00:01\n"]
    path.write_text(HEADER + "".join(rows))
    return path


def test_the_bounds_are_those_of_certification() -> None:
    found = bounds(200, ALPHA)
    expected = [lower_confidence_bound(k, 200, ALPHA) for k in range(201)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_expectation_is_the_sum_over_all_hits(tmp_path: Path) -> None:
    row = cost("a", read_log(log(tmp_path / "a.tsv")), SIGMA, 100, 1000, ALPHA)
    radius = [Gaussian(SIGMA).radius(lower_confidence_bound(k, 100, ALPHA)) for k in range(101)]
    shares = [stats.binom.pmf(np.arange(101), 100, (k + 0.5) / 1001) for k in HITS]
    means = [math.fsum(share * radius) for share in shares]
    assert row["acr_expected"] == pytest.approx(math.fsum(means) / 6, rel=1e-6)
    assert row["change"] == pytest.approx(row["acr_expected"] - row["acr"])
    reached = math.fsum(math.fsum(share[np.array(radius) >= 0.25]) for share in shares) / 6
    assert row["accuracy_expected"]["0.25"] == pytest.approx(reached, rel=1e-6)
    assert row["largest_radius"] == pytest.approx(radius[-1])
    # Of four radii, those of 990 and 1,000 hits are beyond what 100 samples can show.
    assert row["at_the_cap"] == pytest.approx(2 / 6)


def test_as_many_samples_cost_nothing_but_the_spread_of_hits(tmp_path: Path) -> None:
    row = cost("a", read_log(log(tmp_path / "a.tsv", [700, 900])), SIGMA, 1000, 1000, ALPHA)
    assert abs(row["change"]) < 0.001


def test_the_command_prints_and_keeps_a_row_per_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = log(tmp_path / "a.tsv"), tmp_path / "found" / "cap"
    asked = [str(path), "--sigma", "0.25", "--n", "100", "--of", "1000", "--out", str(out)]
    assert main(["sample-cap", *asked]) == 0
    printed = capsys.readouterr().out
    assert "/a.tsv | 6 | 0." in printed
    assert (tmp_path / "found" / "cap.md").read_text() in printed
    kept = json.loads((tmp_path / "found" / "cap.json").read_text())
    assert kept["rows"][0]["images"] == 6
    assert kept["provenance"]["commit"]
