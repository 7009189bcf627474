"""The options of certification: checked, forecast, and told apart by what they decide."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsmooth.certify.proof.designs import SequentialDesign
from rsmooth.certify.settings import (
    EXPECTED_SHARE,
    CertifySettings,
    Drawing,
    Execution,
    PredictSettings,
    Sampling,
)

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


def test_the_statement_holds_what_decides_and_nothing_of_the_execution() -> None:
    assert CertifySettings(mode="grid", radii=[0.1, 1]).statement() == {
        "n0": 100,
        "n": 100_000,
        "alpha": 1e-3,
        "seed": 0,
        "mode": "grid",
        "target": "predict",
        "design": SequentialDesign().record(),
        "mode_options": {"radii": (0.1, 1.0)},
    }
    assert "design" not in CertifySettings().statement()
    for change in ({"precision": "float32"}, {"batch_size": 3}, {"arithmetic": "float"}):
        options: Any = change
        assert CertifySettings(**options).statement() == CertifySettings().statement()


def test_every_option_belongs_to_one_class() -> None:
    names = {kind: [f.name for f in fields(kind)] for kind in (Execution, Drawing, Sampling)}
    assert names[Execution] == ["precision", "compile", "batch_size", "device"]
    assert names[Drawing] == [*names[Execution], "arithmetic"]
    assert names[Sampling] == [*names[Drawing], "alpha", "seed"]
    assert [f.name for f in fields(PredictSettings)] == [*names[Sampling], "n"]
    assert PredictSettings().n == 1000


@pytest.mark.parametrize("kind", [CertifySettings, PredictSettings])
@pytest.mark.parametrize("seed", [0.5, 1.0, True, "1", None, np.float32(2)])
def test_a_seed_is_an_integer(kind: Any, seed: Any) -> None:
    with pytest.raises(ValueError, match="expected an integer seed, got"):
        kind(seed=seed)
    assert type(kind(seed=np.int64(3)).seed) is int


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (PredictSettings, {"n": 5}, "n >= 11"),
        (PredictSettings, {"alpha": 2.0}, "alpha in"),
        (PredictSettings, {"arithmetic": "exact"}, "arithmetic to be one of integer, float"),
        (CertifySettings, {"compile": "maybe"}, "compile to be one of"),
        (CertifySettings, {"target": "truth"}, "target to be one of"),
        (PredictSettings, {"n": 1000.0}, "expected an integer n, got 1000.0"),
        (CertifySettings, {"n": float("nan")}, "expected an integer n, got nan"),
        (CertifySettings, {"n0": 2.5}, "expected an integer n0, got 2.5"),
        (CertifySettings, {"n0": True}, "expected an integer n0, got True"),
        (CertifySettings, {"n0": 0}, "n0 >= 1"),
        (CertifySettings, {"batch_size": 2.5}, "expected an integer batch_size, got 2.5"),
        (CertifySettings, {"batch_size": "64"}, "expected an integer batch_size, got '64'"),
        (CertifySettings, {"batch_size": 0}, "batch_size >= 1"),
        (CertifySettings, {"radius": "far"}, "expected a number for radius, got 'far'"),
        (CertifySettings, {"tolerance": [0.1]}, r"expected a number for tolerance, got \[0.1\]"),
        (CertifySettings, {"radii": 0.5}, "expected a list of numbers for radii, got 0.5"),
        (CertifySettings, {"radii": "0.5"}, "expected a list of numbers for radii, got '0.5'"),
        (CertifySettings, {"radii": [0.5, None]}, "expected a number for radii, got None"),
        (CertifySettings, {"radii": [True]}, "expected a number for radii, got True"),
        (CertifySettings, {"radius": True}, "expected a number for radius, got True"),
        (CertifySettings, {"design": {"start": 32}}, "expected a SequentialDesign or None"),
    ],
)
def test_values_out_of_range_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_numbers_are_kept_as_plain_numbers() -> None:
    options: dict[str, Any] = {"n0": np.int64(50), "n": np.int32(200), "batch_size": np.int64(8)}
    options |= {"alpha": np.float32(0.25), "radius": np.float64(0.5)}
    made, plain = (
        CertifySettings(**options),
        CertifySettings(n0=50, n=200, batch_size=8, alpha=0.25, radius=0.5),
    )
    assert made == plain
    assert json.dumps(made.statement()) == json.dumps(plain.statement())


def test_the_earlier_word_for_the_arithmetic() -> None:
    earlier: Any = CertifySettings
    with pytest.warns(FutureWarning, match="noise='grid' is now arithmetic='integer'") as caught:
        assert earlier(noise="grid") == CertifySettings()
    assert caught[0].filename == __file__
    with pytest.warns(FutureWarning):
        made = earlier(noise="float", n=500)
    assert made == CertifySettings(arithmetic="float", n=500)
    assert replace(made, n=600).arithmetic == "float"
    with pytest.raises(ValueError, match="expected one arithmetic, got noise='grid'"):
        earlier(noise="grid", arithmetic="float")
    with pytest.raises(ValueError, match="expected no noise here, got 'fine'"):
        earlier(noise="fine")


def test_settings_load_no_torch() -> None:
    program = "import sys, rsmooth.certify.settings; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=MEASURED.parents[2])


@pytest.mark.parametrize("name", ["n", "n0"])
def test_more_samples_than_counters_are_refused_before_any_vote(name: str) -> None:
    assert CertifySettings(**{name: 2**32})
    with pytest.raises(ValueError, match=f"expected {name} <= 4294967296 samples per image"):
        CertifySettings(**{name: 2**32 + 1})
    with pytest.raises(ValueError, match="expected n <= 4294967296 samples"):
        PredictSettings(n=2**40)
