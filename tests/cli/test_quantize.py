"""``rsmooth quantize``: a file of integers, which the other verbs take as a model of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsmooth.cli import main
from rsmooth.models import Int8Network
from rsmooth.models.int8 import network
from rsmooth.records.files import read_log
from rsmooth.smoothed import SmoothedClassifier
from tests.cli.helpers import CERTIFY, error_of
from tests.models.int8.nets import needs_int8


@needs_int8
def test_a_run_becomes_integers_that_are_certified_and_predicted(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, journal = tmp_path / "digits.int8.pt", tmp_path / "int8.jsonl"
    for _ in range(2):
        assert main(["quantize", str(run), "--max", "50", "--out", str(file)]) == 0
        said = capsys.readouterr().out
        assert f"{file}: 8-bit integers, by 50 training images, on which" in said
        g8 = SmoothedClassifier.load(file)
        assert isinstance(g8.base, Int8Network)
        assert g8.base.made == {
            "seed": 0,
            "images": 50,
            "noise": {"name": "gaussian", "sigma": 0.25},
        }
    data = ["--dataset", "digits"]
    assert main(["certify", str(file), *data, *CERTIFY, "--out", str(journal)]) == 0
    assert ", int8)" in capsys.readouterr().out
    assert read_log(journal).provenance["numerics"]["dtype"] == "int8"
    assert main(["predict", str(file), *data, "--max", "2", "--n", "50"]) == 0
    said = error_of(capsys, "attack", str(file), *data, "--max", "1", "--progress", "false")
    assert "an Int8Network, which has none; attack or train the network" in said


@needs_int8
def test_the_training_images_are_the_same_ones_in_every_process(run: Path, tmp_path: Path) -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(states))
        file = tmp_path / f"{len(states)}.pt"
        assert (
            main(["quantize", str(run), "--max", "9", "--seed", str(seed), "--out", str(file)]) == 0
        )
        states.append(SmoothedClassifier.load(file).base.state_dict())
    first, second, other = ([tensor.tolist() for tensor in state.values()] for state in states)
    assert first == second != other


def test_a_machine_that_cannot_run_integers_may_make_them(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "int8_instructions", lambda: None)
    file = tmp_path / "digits.int8.pt"
    assert main(["quantize", str(run), "--max", "9", "--out", str(file)]) == 0
    said = capsys.readouterr().out
    assert "whose answers were not compared here (expected a CPU with 8-bit integer" in said
    assert "it runs on another machine" in said
    assert isinstance(SmoothedClassifier.load(file).base, Int8Network)


def test_what_cannot_be_made_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected max >= 1 images, got 0" in error_of(capsys, "quantize", str(run), "--max", "0")
    said = error_of(capsys, "quantize", str(run / "model.pt"))
    assert "add --out model.int8.pt" in said
