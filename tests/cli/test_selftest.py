"""rsmooth selftest: what it prints, and how it ends where the noise is not sound."""

from __future__ import annotations

import pytest
import torch

from rsmooth.cli import main
from rsmooth.noise.grid import GridSampler


def test_sound_noise_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--noise", "uniform", "--noise.half_width", "0.1", "--seed", "5"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("uniform half_width=0.1 on cpu, seed 5: ")
    assert "passed, smallest p-value" in line


def test_unsound_noise_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = GridSampler.sample
    monkeypatch.setattr(
        GridSampler,
        "sample",
        lambda self, key, ids, samples, *rest: right(
            self, key, ids, torch.zeros_like(samples), *rest
        ),
    )
    assert main(["selftest", "--sigma", "0.25", "--device", "cpu"]) == 2
    said = capsys.readouterr()
    assert "FAILED" in said.out
    assert "samples 1 apart, correlation" in said.out
    assert "certificates from this machine would be void" in said.err


def test_details_name_every_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--sigma", "0.5", "--details", "true"]) == 0
    said = capsys.readouterr().out
    for name in ("Philox by NumPy", "values by table", "estimate, cells", "select and estimate"):
        assert name in said
