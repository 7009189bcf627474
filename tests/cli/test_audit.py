"""``rsmooth audit``: certificates put to the test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsmooth.cli import main
from tests.cli.helpers import error_of


def test_an_audit_attacks_the_certified_images(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--steps",
        "2",
        "--num_noise",
        "2",
        "--n",
        "50",
        "--factors",
        "[0.5, 3]",
        "--progress",
        "false",
    ]
    assert main(["audit", str(run), "--max", "2", *options]) == 0
    assert "contradicted certificates: 0" in capsys.readouterr().out
    record = json.loads((run / "audit.json").read_text())
    assert np.shape(record["distance"]) == (len(record["idx"]), 2)
    assert 1 <= len(record["idx"]) <= 2
    assert (run / "audit-gap.png").exists()


def test_the_seed_of_the_certificates_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected another seed" in error_of(capsys, "audit", str(run), "--seed", "0")
    assert "expected factors > 0" in error_of(capsys, "audit", str(run), "--factors", "0,1")
