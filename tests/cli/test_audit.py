"""``rsmooth audit``: certificates put to the test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rsmooth.cli import main
from rsmooth.cli.audit import Places, _write
from rsmooth.evaluate.auditing import Audit
from rsmooth.records.audits import identified
from rsmooth.records.files import read_log
from rsmooth.records.journal import config_hash
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.outside import QUICK, need, theirs
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
    assert record["config"] == config_hash(read_log(run).provenance)
    assert record["record"] == identified(run)


def test_an_audit_that_could_not_be_written_is_not_begun(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("rsmooth.evaluate.auditing.audit", None)
    assert "audit.json, which may not be written" in error_of(capsys, "audit", str(run))


def test_an_audit_whose_figure_fails_leaves_its_values(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values take hours, the figure a second."""
    monkeypatch.setattr("rsmooth.report.looks.save_figure", None)
    places = Places(tmp_path / "audit.json", tmp_path / "audit-gap", "t")
    made = Audit(*np.ones((4, 1)), *np.ones((2, 1, 1)), alpha=0.001)
    with pytest.raises(TypeError):
        _write(made, {}, places)
    assert places.audit.exists()


def test_an_audit_that_cannot_be_written_has_said_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as where the run folder has become a file during its hours."""
    (tmp_path / "run").touch()
    places = Places(tmp_path / "run" / "audit.json", tmp_path / "run" / "audit-gap", "t")
    made = Audit(*np.ones((4, 1)), *np.ones((2, 1, 1)), alpha=0.001)
    with pytest.raises(OSError, match="nothing was written"):
        _write(made, {}, places)
    assert capsys.readouterr().out == f"{made.summary()}\n"


def test_a_model_without_a_run_folder_is_audited_by_its_journal(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, journal = tmp_path / "mine.pt", tmp_path / "proved.jsonl"
    shutil.copy(run / "model.pt", model)
    shutil.copy(run / "certificates.jsonl", journal)
    asked = ["audit", str(model), "--dataset", "digits", *QUICKLY]
    assert "expected --log with the journal of the certificates" in error_of(capsys, *asked)
    assert main([*asked, "--log", str(journal)]) == 0
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == [
        "mine.pt",
        "proved.audit-gap.pdf",
        "proved.audit-gap.png",
        "proved.audit.json",
        "proved.jsonl",
    ]
    assert main(["audit", str(run), *QUICKLY]) == 0
    before = (run / "audit.json").read_bytes()
    for log in (run, run / "certificates.jsonl"):  # then it is where a report looks for it
        (run / "audit.json").unlink()
        assert main([*asked, "--log", str(log)]) == 0
        assert (run / "audit.json").read_bytes() == before
    values = [json.loads(path.read_text()) for path in (tmp_path / written[3], run / "audit.json")]
    named = [entry["file"] for value in values for entry in value["record"]]
    assert named == [f"{tmp_path.name}/proved.jsonl", "run/certificates.jsonl"]
    for value in values:
        del value["record"][0]["file"]  # what is left is the hash, of the same bytes
    assert values[0] == values[1]


QUICKLY = ["--num_noise", "2", "--n", "50", "--max", "2", "--factors", "0.5", "--progress", "false"]


@pytest.mark.parametrize("name", ["pgd", *QUICK])
def test_an_audit_takes_other_attacks(name: str, run: Path) -> None:
    need(name)
    spec = json.dumps({"name": name, **QUICK.get(name, {})})
    with theirs():
        assert main(["audit", str(run), *QUICKLY, "--attack", spec]) == 0
    record = json.loads((run / "audit.json").read_text())
    assert record["options"]["attack"]["name"] == name
    assert record["options"]["attack"]["target"] == "smoothed"
    assert ("used" in record["options"]) == (name in QUICK)
    assert "steps" not in record["options"]
    radius, distance = np.array(record["radius"]), np.array(record["distance"])[:, 0]
    # Rounding to 8 bits moves each of 64 pixels by up to half a level.
    assert (distance <= 0.5 * radius + 8 * 0.5 / 255).all()
    assert (distance > 0).any() or name in ("autoattack", "advlib"), "which may find nothing"


def test_an_attack_that_says_nothing_of_the_certificates_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, said in (
        (["--attack", "{name: pgd, norm: linf}"], "expected an attack of l2 norm"),
        (["--attack", "{name: pgd, targeted: true}"], "expected an untargeted attack"),
        (["--attack", "{name: pgd, epsilon: 1}"], "--factors of rsmooth audit"),
        (
            ["--attack", "foolbox", "--attack.attack", "L2PGD", "--steps", "3"],
            "expected no --steps for the attack 'foolbox'",
        ),
    ):
        assert said in error_of(capsys, "audit", str(run), *QUICKLY, *options)


def test_the_seed_of_the_certificates_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected another seed" in error_of(capsys, "audit", str(run), "--seed", "0")
    assert "expected factors > 0" in error_of(capsys, "audit", str(run), "--factors", "0,1")


def test_deterministic_certificates_are_bracketed(tmp_path, capsys):
    torch.manual_seed(0)
    base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[16])
    SmoothedClassifier(base, sigma=0, num_classes=10).save(tmp_path / "model.pt")
    (tmp_path / "config.yaml").write_text("dataset: digits\n")
    digits = ["--dataset", "digits", "--max", "9", "--progress", "false"]
    options = ["--norm", "linf", "--epsilons", "1/255,64/255"]
    assert main(["certify", str(tmp_path), *digits, *options]) == 0
    capsys.readouterr()
    assert main(["audit", str(tmp_path), "--dataset", "digits", "--progress", "false"]) == 0
    printed = capsys.readouterr().out
    assert "contradicted certificates: 0" in printed
    assert "certified % <= true <= attacked %" in printed
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["epsilons"] == [1 / 255, 64 / 255]
    assert len(found["attacked"]) == 9
    assert found["contradictions"] == []
    options = ["--factors", "0.5", "--n", "10", "--precision", "float32"]
    error = error_of(capsys, "audit", str(tmp_path), "--dataset", "digits", *options)
    assert "expected no --factors and no --n and no --precision for deterministic cert" in error
