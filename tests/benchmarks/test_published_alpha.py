"""The alpha of a log: stated by its record, or told from the radius of unanimous votes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rsmooth.benchmarks.published_alpha import published_alpha, recorded_setting
from rsmooth.certify import CertifySettings, certify_dataset, lower_confidence_bound
from rsmooth.noise.distributions import Gaussian, NoiseDistribution, Uniform
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log
from rsmooth.smoothed import SmoothedClassifier


def table(path: Path, n: int, hits: list[int], alpha: float) -> Path:
    """A published table of these hits among n."""
    radii = [Gaussian(0.25).radius(lower_confidence_bound(k, n, alpha)) for k in hits]
    rows = [f"{i}\t1\t1\t{radius:.4}\t1\t0:00:01\n" for i, radius in enumerate(radii)]
    path.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n" + "".join(rows))
    return path


def record(path: Path, noise: NoiseDistribution, **options: Any) -> Path:
    """Our journal of four images that have one class whatever the noise."""
    base = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    with torch.no_grad():
        base[1].weight.zero_()
        base[1].bias.copy_(torch.tensor([0.0, 1.0]))
    data = torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.ones(4, dtype=torch.int64)
    settings = CertifySettings(**{"n": 200, "n0": 10, "alpha": 0.02, **options})
    g = SmoothedClassifier(base, noise=noise, num_classes=2)
    certify_dataset(g, data, path, settings, workers=1, progress=False)
    return path


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05])
def test_the_largest_radius_shows_it(alpha: float, tmp_path: Path) -> None:
    path = table(tmp_path / "a.tsv", 1000, [700, 1000, 1000, 1000], alpha)
    assert published_alpha(path, read_log(path), 0.25, 1000) == alpha


@pytest.mark.parametrize("hits", [[700, 800], [700, 1000]])
def test_where_it_does_not_it_is_the_other(hits: list[int], tmp_path: Path) -> None:
    """No unanimous votes, or too few of them to refuse another n."""
    path = table(tmp_path / "a.tsv", 1000, hits, 0.01)
    assert published_alpha(path, read_log(path), 0.25, 100_000) == 0.001
    assert published_alpha(path, read_log(path), 0.25, 100_000, 0.05) == 0.05


@pytest.mark.parametrize(("sigma", "n"), [(0.25, 100_000), (0.5, 1000)])
def test_a_table_of_another_n_or_sigma_is_refused(sigma: float, n: int, tmp_path: Path) -> None:
    path = table(tmp_path / "a.tsv", 1000, [700, 1000, 1000, 1000], 0.01)
    with pytest.raises(RecordError, match=r"a\.tsv of n=1,000, alpha=0\.01, sigma=0\.25; give its"):
        published_alpha(path, read_log(path), sigma, n)


@pytest.mark.parametrize("where", ["run", "run/certificates.jsonl", "run/certificates.tsv"])
def test_a_record_states_it_wherever_it_is(where: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    record(tmp_path / "run", Gaussian(0.25))
    path = tmp_path / where
    assert published_alpha(path, read_log(path), 0.25, 200) == 0.02
    with pytest.raises(RecordError, match=r"n=1,000 at sigma=0\.25, got .* of n=200, alpha=0\.02"):
        published_alpha(path, read_log(path), 0.25, 1000)


@pytest.mark.parametrize(
    ("noise", "options", "said"),
    [
        (Uniform(0.5), {}, r"got uniform smoothing in l1 \(probabilistic\) in mode fixed"),
        (Gaussian(0.25), {"mode": "radius", "radius": 0.1}, r"in l2 .* in mode radius; certify in"),
    ],
)
def test_other_records_are_refused(
    noise: NoiseDistribution, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RecordError, match=said):
        recorded_setting(read_log(record(tmp_path / "a.jsonl", noise, **options)))
