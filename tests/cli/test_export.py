"""``rsmooth export``: a folder for the Hub with the run's certificates, or an ONNX graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsmooth.cli import main
from rsmooth.models import load_model, model_card
from rsmooth.records.files import read_log
from tests.cli.helpers import error_of


def test_a_folder_for_the_hub_has_the_certificates_of_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "hub"
    assert main(["export", str(run), "--out", str(out), "--radii", "0,0.1"]) == 0
    assert f"whose table is of {run}" in capsys.readouterr().out
    (entry,) = model_card(str(out))["certified"]
    assert entry["model_hash"] == read_log(run).provenance["model"]["hash"]
    assert list(entry["accuracy"]) == ["0", "0.1"]
    assert load_model(out).sigma == 0.25


def test_a_folder_is_a_model_of_other_verbs(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "hub"
    assert main(["export", str(run), "--out", str(out)]) == 0
    asked = ["--max", "2", "--n", "100", "--dataset", "digits"]
    capsys.readouterr()
    assert main(["predict", str(out), *asked]) == 0
    of_folder = capsys.readouterr().out
    assert main(["predict", str(out / "model.safetensors"), *asked]) == 0
    assert capsys.readouterr().out == of_folder


def test_files_of_others_stay(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine")
    said = error_of(capsys, "export", str(run), "--out", str(tmp_path))
    assert "README.md of others" in said


def test_a_graph_is_certified_by_the_same_command(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    out, record = tmp_path / "net.onnx", tmp_path / "net.jsonl"
    assert main(["export", str(run), "--out", str(out)]) == 0
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["image_shape"] == [1, 8, 8]
    asked = ["--dataset", "digits", "--max", "2", "--n0", "20", "--n", "100"]
    assert main(["certify", str(out), *asked, "--out", str(record)]) == 0
    assert read_log(record).provenance["model"]["function"]["sha256"] == card["sha256"]
