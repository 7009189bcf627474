"""What fewer samples cost: hits found again from radii, and expectations by another way."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.sample_cap import bounds, cost
from rsmooth.certify import lower_confidence_bound
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.noise.distributions import Gaussian
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log

ALPHA, SIGMA = 0.001, 0.25
HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
HITS = [600, 730, 1000, 990]
STATED = {"n": 100, "alpha": ALPHA, "sigma": SIGMA}


def log(path: Path, hits: list[int] = HITS, n: int = 1000, alpha: float = ALPHA) -> Path:
    """A published table of right answers with these hits, a wrong one and an abstention."""
    radii = [Gaussian(SIGMA).radius(lower_confidence_bound(k, n, alpha)) for k in hits]
    rows = [f"{i}\t1\t1\t{radius:.4}\t1\t0:00:01\n" for i, radius in enumerate(radii)]
    rows += [f"8\t1\t2\t{radii[0]:.4}\t0\t0:00:01\n", "9\t1\t-1\t0.0\t0\t0:00:01\n"]
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


def test_radii_that_were_rounded_down_are_at_the_largest(tmp_path: Path) -> None:
    top = radius_from_counts(1000, 1000, SIGMA, ALPHA)
    given = read_log(log(tmp_path / "a.tsv"))
    ours = replace(given, radius=np.where(given.radius == given.radius.max(), top, given.radius))
    assert cost("a", ours, SIGMA, 1000, 1000, ALPHA)["at_the_cap"] == pytest.approx(1 / 6)


def test_the_hits_of_a_log_are_those_of_its_own_alpha(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four logs of the same hits, of three alphas: the same is expected of them."""
    for alpha in (0.001, 0.01, 0.05):
        log(tmp_path / f"{alpha}", alpha=alpha)
    log(tmp_path / "no top", [600, 730])  # fits no setting, and is taken as --alpha says
    paths = [str(tmp_path / name) for name in ("0.001", "0.01", "0.05", "no top")]
    out = tmp_path / "cap"
    asked = [*paths, "--sigma", "0.25", "--n", "100", "--of", "1000", "--out", str(out)]
    assert main(["sample-cap", *asked]) == 0
    rows = json.loads(out.with_suffix(".json").read_text())["rows"]
    assert [row["alpha"] for row in rows] == [0.001, 0.01, 0.05, 0.001]
    for row in rows[1:3]:
        assert row["acr"] > rows[0]["acr"] + 0.005
        assert row["acr_expected"] == pytest.approx(rows[0]["acr_expected"], rel=1e-9)
    printed = capsys.readouterr().out
    assert "/0.01 (alpha 0.01) | 6 |" in printed
    assert "/0.001 | 6 |" in printed


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


def test_a_log_of_fewer_samples_is_compared_with_what_is_expected(tmp_path: Path) -> None:
    """On the images of both, 0, 1, 3 and 8: the last is wrong in one log and right in the other."""
    given, ours = log(tmp_path / "a.tsv"), tmp_path / "ours.tsv"
    rows = [(0, 1, 0.3), (1, 1, 0.1), (3, -1, 0.0), (8, 1, 0.2), (77, 1, 0.5)]
    ours.write_text(
        HEADER + "".join(f"{i}\t1\t{p}\t{r}\t{int(p == 1)}\t0:00:01\n" for i, p, r in rows)
    )
    beside = replace(read_log(ours), provenance=STATED)
    row = cost("a", read_log(given), SIGMA, 100, 1000, ALPHA, beside)
    radius = [Gaussian(SIGMA).radius(lower_confidence_bound(k, 100, ALPHA)) for k in range(101)]
    means = [
        math.fsum(stats.binom.pmf(np.arange(101), 100, (HITS[i] + 0.5) / 1001) * radius)
        for i in (0, 1, 3)
    ]
    more = np.array([0.3 - means[0], 0.1 - means[1], 0.0 - means[2], 0.2])
    assert row["images"] == 4
    assert row["acr_beside"] == pytest.approx(0.15)
    assert row["difference"] == pytest.approx(more.mean(), rel=1e-6)
    assert row["difference_error"] == pytest.approx(more.std() / 2, rel=1e-6)
    assert row["acr_expected"] == pytest.approx(sum(means) / 4, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"provenance": {}},
            r"n=100, alpha=0\.001, sigma=0\.25 beside .* a table that",
        ),
        ({"provenance": {**STATED, "n": 50}}, "got n=50, alpha=0.001, sigma=0.25; compare equal"),
        ({"provenance": {**STATED, "alpha": 0.01}}, "got n=100, alpha=0.01, sigma=0.25; compare"),
        ({"provenance": {**STATED, "sigma": 0.5}}, "got n=100, alpha=0.001, sigma=0.5; compare"),
        ({"samples": np.array([100, 50, 100, 100, 100, 100])}, "certify in mode fixed"),
        ({"idx": np.arange(100, 106)}, "expected images that both logs have, got none"),
        ({"label": np.array([1, 1, 1, 1, 1, 2])}, "other labels at idx 9"),
    ],
)
def test_a_log_that_cannot_be_compared_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    given = read_log(log(tmp_path / "a.tsv"))
    beside = replace(given, **{"provenance": STATED, **change})
    with pytest.raises(RecordError, match=message):
        cost("a", given, SIGMA, 100, 1000, ALPHA, beside)


def test_the_command_names_what_it_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, ours = log(tmp_path / "a.tsv"), log(tmp_path / "ours.tsv", [90, 80, 70, 60], 100)
    read = {given: read_log(given), ours: replace(read_log(ours), provenance=STATED)}
    monkeypatch.setattr("rsmooth.benchmarks.sample_cap.read_log", read.__getitem__)
    asked = [str(given), "--sigma", "0.25", "--n", "100", "--of", "1000", "--beside", str(ours)]
    assert main(["sample-cap", *asked]) == 0
    head, row = capsys.readouterr().out.splitlines()[2::2][:2]
    assert head.endswith("| r=0.75 | beside it | less expected |")
    assert row.count("|") == head.count("|")
