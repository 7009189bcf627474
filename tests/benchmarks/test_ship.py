"""Models for the package: a card says what records of just these weights say, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.place import CHECKOUT
from rsmooth.benchmarks.ship import certified, ship
from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.certify.run.header import is_hash_of, model_hash
from rsmooth.data import load_dataset
from rsmooth.models.shipped import FOLDER, model_card, shipped_file, shipped_names
from rsmooth.records.files import read_log
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

pytest.importorskip("safetensors")

MADE = {
    "date": "2026-01-01 00:00 UTC",
    "command": "python -m benchmarks run digits",
    "commit": "0" * 12,
    "gpu": None,
}


def run_folder(path: Path, width: int = 4, **train: object) -> Path:
    """An arm of the harness as ``ship`` reads it: its model and its summary."""
    torch.manual_seed(width)
    g = SmoothedClassifier(
        MODELS.create("small-cnn", in_channels=1, width=width), sigma=0.25, num_classes=10
    )
    g.save(path / "model.pt")
    options = {"dataset": "digits", "trainer": {"name": "gaussian", "epochs": 1}, **train}
    seconds = {"train": {"wall": 1.6, "cpu": 1.2}}
    summary = {"train": options, "certify": None, "seconds": seconds, "provenance": MADE}
    (path / "summary.json").write_text(json.dumps(summary))
    return path


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with the model "tiny", and a record of its weights."""
    folder = tmp_path_factory.mktemp("shipped")
    (run := tmp_path_factory.mktemp("runs") / "arm").mkdir()
    assert main(["ship", "tiny", "--run", str(run_folder(run)), "--folder", str(folder)]) == 0
    test = load_dataset("digits").test
    assert test is not None
    g = SmoothedClassifier.load(folder / "tiny.safetensors")
    record = folder / "record.jsonl"
    settings = CertifySettings(n=100, n0=10, precision="float32", compile="never")
    certify_dataset(g, test.subset(range(12)), record, settings, workers=1, progress=False)
    return folder, record


def test_the_weights_are_those_of_the_run_in_half(shipped: tuple[Path, Path]) -> None:
    folder, _ = shipped
    card = model_card("tiny", folder)
    g = SmoothedClassifier.load(shipped_file("tiny", folder))
    assert all(torch.equal(own, own.half().float()) for own in g.parameters() if own.ndim > 1)
    assert card["model_hash"] == model_hash(g)
    assert card["title"] == "gaussian sigma=0.25, small-cnn, gaussian"
    assert card["noise"] == {"name": "gaussian", "sigma": 0.25}
    (phase,) = card["training"]
    assert phase["seconds"] == {"wall": 2, "cpu": 1}
    assert phase["provenance"] == {k: v for k, v in MADE.items() if v is not None}
    assert card["certified"] == []


def test_the_card_says_what_the_record_says(
    shipped: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, record = shipped
    asked = ["--records", str(record), "--radii", "0", "0.1", "--folder", str(folder)]
    assert main(["ship", "tiny", *asked]) == 0
    assert capsys.readouterr().out == (folder / "tiny.yaml").read_text()
    (row,) = model_card("tiny", folder)["certified"]
    log = read_log(record)
    share = float((log.correct & (log.radius >= 0.1)).mean())
    assert row["accuracy"]["0.1"] == pytest.approx(
        [100 * share, 100 * (share * (1 - share) / 12) ** 0.5], abs=0.005
    )
    earned = torch.tensor(log.radius * log.correct)
    assert row["acr"] == pytest.approx(
        [float(earned.mean()), float(earned.std() / 12**0.5)], abs=5e-5
    )
    assert (row["record"], row["n"], row["alpha"]) == ("record.jsonl", 100, 0.001)
    assert row["dataset"] == {"name": "digits", "split": "test", "images": 12}


def test_a_record_of_a_grid_says_its_radii_alone(shipped: tuple[Path, Path]) -> None:
    folder, _ = shipped
    test = load_dataset("digits").test
    assert test is not None
    g = SmoothedClassifier.load(folder / "tiny.safetensors")
    settings = CertifySettings(
        n=100, n0=10, mode="grid", radii=[0.1, 0.2], precision="float32", compile="never"
    )
    path = folder / "grid.jsonl"
    certify_dataset(g, test.subset(range(4)), path, settings, workers=1, progress=False)
    row = certified(path, g, [0.0, 0.25])
    assert list(row["accuracy"]) == ["0.1", "0.2"]
    assert "acr" not in row


def test_a_record_of_other_weights_is_refused(shipped: tuple[Path, Path], tmp_path: Path) -> None:
    _, record = shipped
    other = tmp_path / "shipped"
    ship("other", run_folder(tmp_path, width=5), other)
    wanted = str(model_card("other", other)["model_hash"])
    with pytest.raises(ValueError, match=rf"expected a record of the model {wanted}, got"):
        certified(record, SmoothedClassifier.load(other / "other.safetensors"), [0.0])
    asked = ["ship", "other", "--records", str(record), "--folder", str(other)]
    assert main(asked) == 2
    assert model_card("other", other)["certified"] == []


def test_phases_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    run_folder(tmp_path / "first")
    attack = {"name": "pgd", "epsilon": "64/256", "steps": 2}
    run_folder(tmp_path / "second", init_from={"arm": "first"}, attack=attack)
    ship("both", tmp_path / "second", tmp_path / "shipped")
    card = model_card("both", tmp_path / "shipped")
    assert card["title"].endswith("gaussian then gaussian with attack")
    assert [phase["options"].get("attack") for phase in card["training"]] == [None, attack]


def test_a_trainer_that_nobody_named_is_the_one_that_trained(tmp_path: Path) -> None:
    attack = {"name": "smoothadv-pgd", "epsilon": 0.5, "steps": 2}
    run_folder(tmp_path, attack=attack, trainer={"epochs": 1})
    ship("unnamed", tmp_path, tmp_path / "shipped")
    assert model_card("unnamed", tmp_path / "shipped")["title"].endswith("smoothadv with attack")


def test_an_arm_that_only_certifies_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"train": None, "certify": {"n": 10}}))
    with pytest.raises(ValueError, match=r"expected an arm that was trained, got .* of others"):
        ship("none", tmp_path, tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


def test_a_model_above_five_megabytes_is_refused(tmp_path: Path) -> None:
    run = run_folder(tmp_path, width=400)
    with pytest.raises(ValueError, match=r"expected at most 5,000,000 bytes .* smaller network"):
        ship("large", run, tmp_path / "shipped")
    assert not (tmp_path / "shipped").exists()


def test_what_is_there_stays_where_the_next_one_is_refused(
    shipped: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, _ = shipped
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match="expected at most 5,000,000 bytes"):
        ship("tiny", run_folder(tmp_path, width=400), folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_same_weights_again_keep_what_their_records_say(
    shipped: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(shipped[0], tmp_path / "shipped")
    run = run_folder(tmp_path)
    ship("again", run, folder)
    card = {**model_card("again", folder), "certified": [{"record": "r"}]}
    (folder / "again.yaml").write_text(json.dumps(card))
    ship("again", run, folder)
    assert model_card("again", folder) == card
    (tmp_path / "other").mkdir()
    ship("again", run_folder(tmp_path / "other", width=5), folder)
    assert model_card("again", folder)["certified"] == []


@pytest.mark.parametrize("name", shipped_names())
def test_what_comes_with_the_package_is_certified_by_committed_records(name: str) -> None:
    card = model_card(name)
    assert (FOLDER / f"{name}.safetensors").stat().st_size <= 5_000_000
    g = SmoothedClassifier.load(shipped_file(name))
    assert is_hash_of(card["model_hash"], g)
    assert card["certified"]
    for row in card["certified"]:
        radii = [float(radius) for radius in row["accuracy"]]
        assert certified(CHECKOUT / row["record"], g, radii) == row


def test_a_model_without_card_and_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ship", "new", "--folder", str(tmp_path)]) == 2
    assert "expected --run with an arm for the new model new, got none" in capsys.readouterr().err
