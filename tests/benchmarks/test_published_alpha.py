"""The alpha of a published log, told from the radius of unanimous votes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.benchmarks.published_alpha import published_alpha
from rsmooth.certify import lower_confidence_bound
from rsmooth.noise.distributions import Gaussian


def log(path: Path, n: int, hits: list[int], alpha: float) -> Path:
    """A published table of these hits among n."""
    radii = [Gaussian(0.25).radius(lower_confidence_bound(k, n, alpha)) for k in hits]
    rows = [f"{i}\t1\t1\t{radius:.4}\t1\t0:00:01\n" for i, radius in enumerate(radii)]
    path.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n" + "".join(rows))
    return path


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05])
def test_the_largest_radius_shows_it(alpha: float, tmp_path: Path) -> None:
    path = log(tmp_path / "a.tsv", 1000, [700, 1000, 1000, 1000], alpha)
    assert published_alpha(path, 0.25, 1000) == alpha
    # Of another number of samples, the table shows nothing.
    assert published_alpha(path, 0.25, 100_000) == 0.001
    assert published_alpha(path, 0.25, 100_000, 0.02) == 0.02


def test_without_unanimous_votes_it_is_the_other(tmp_path: Path) -> None:
    path = log(tmp_path / "a.tsv", 1000, [700, 800], 0.01)
    assert published_alpha(path, 0.25, 1000) == 0.001
    assert published_alpha(path, 0.25, 1000, 0.05) == 0.05
