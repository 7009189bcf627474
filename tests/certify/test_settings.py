"""What a run is forecast to draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsmooth.certify.settings import EXPECTED_SHARE, CertifySettings

MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "certify-samples-digits.json"


@pytest.mark.parametrize("mode", ["fixed", "radius", "grid", "anytime"])
def test_expected_shares_are_those_measured(mode: str) -> None:
    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    means = [row["mean_samples"] for row in found["rows"] if row["mode"].split()[0] == mode]
    shares: Any = EXPECTED_SHARE
    assert sum(means) / len(means) / found["n"] == pytest.approx(shares[mode], rel=0.2)


def test_a_forecast_follows_the_mode() -> None:
    assert CertifySettings(n0=100, n=1000).expected_samples(10) == 11_000
    radius = CertifySettings(n0=100, n=1000, mode="radius", radius=0.1)
    assert radius.expected_samples(10) == 10 * (100 + 1000 * EXPECTED_SHARE["radius"])
