"""Files and folders that rsmooth wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from rsmooth import SmoothedClassifier
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.doctor import Report, examine
from rsmooth.noise import Uniform
from rsmooth.records.audits import states_of
from rsmooth.records.files import read_log, write_log
from rsmooth.records.journal import Journal

from .helpers import NORMALIZE, SIGMA, saved, trained
from .test_logs import made

HEADER = {"sigma": 0.25, "n0": 10, "n": 1000, "alpha": 0.001, "mode": "fixed", "seed": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = trained()
    base.architecture = {
        "name": "small-cnn",
        "options": {"num_classes": 10, "in_channels": 1, "width": 8, "normalize": NORMALIZE},
    }
    path = tmp_path_factory.mktemp("own") / "model.pt"
    SmoothedClassifier(base, sigma=SIGMA, num_classes=10).save(path)
    return path


def journal(path: Path, *, wrong: bool = False, images: int = 3) -> Path:
    header = {**HEADER, "dataset": {"name": "digits", "images": images}}
    with Journal(path, header) as file:
        for idx, hits in enumerate((1000, 900, 800)):
            radius = radius_from_counts(hits, 1000, 0.25, 0.001)
            file.append(
                "image",
                {
                    "idx": idx,
                    "label": 1,
                    "predict": 1,
                    "radius": radius + 0.01 * (wrong and idx == 2),
                    "correct": True,
                    "seconds": 0.5,
                    "selection": [2, 8],
                    "n": 1000,
                    "invalid": 0,
                    "counts": [1000 - hits, hits],
                },
            )
    return path


def findings(report: Report, mark: str) -> dict[str, str]:
    return {each.topic: each.text for each in report.findings if each.mark == mark}


def test_a_model(model: Path) -> None:
    report = examine(model)
    assert report.facts["architecture"] == "small-cnn"
    assert report.facts["noise"] == {"name": "gaussian", "sigma": 0.25}
    assert report.facts["sigma"] == 0.25
    assert not report.marked("look", "wrong")
    assert report.commands == [f"rsmooth certify {model} --dataset digits --out model.jsonl"]


def test_a_safetensors_of_ours(model: Path, tmp_path: Path) -> None:
    SmoothedClassifier.load(model).save(tmp_path / "m.safetensors")
    assert examine(tmp_path / "m.safetensors").kind == "a smoothed classifier that rsmooth saved"


def test_a_model_whose_sigma_is_another(model: Path, tmp_path: Path) -> None:
    g = SmoothedClassifier.load(model)
    SmoothedClassifier(g.base, sigma=0.5, num_classes=10).save(tmp_path / "m.pt")
    assert "0.5 is in the file, but" in findings(examine(tmp_path / "m.pt"), "look")["sigma"]


def test_a_model_of_other_noise_is_told_no_sigma(model: Path, tmp_path: Path) -> None:
    base = SmoothedClassifier.load(model).base
    path = tmp_path / "model.pt"
    SmoothedClassifier(base, noise=Uniform(0.5), num_classes=10).save(path)
    report = examine(path)
    assert "normalisation" in {each.topic for each in report.findings}
    assert "sigma" not in {each.topic for each in report.findings}
    assert not [fact for fact in report.facts if fact.startswith("sigma")]


def test_a_run_folder_from_beginning_to_end(model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump({"sigma": 0.25, "dataset": "digits"}))
    report = examine(run)
    assert report.commands == [f"rsmooth train {run} --config {run}/config.yaml"]
    (run / "model.pt").write_bytes(model.read_bytes())
    report = examine(run)
    assert report.commands == [f"rsmooth certify {run}"]
    assert "it opens" in findings(report, "ok")["model.pt"]
    Journal(run / "certificates.jsonl", {**HEADER, "dataset": {"images": 3}}).close()
    report = examine(run)
    assert report.commands == [f"rsmooth certify {run}"], "it was only begun"
    assert findings(report, "look")["certificates"].startswith("none yet of 3 images; the same")
    assert not examine(run / "certificates.jsonl").commands
    (run / "certificates.jsonl").unlink()
    journal(run / "certificates.jsonl")
    report = examine(run)
    assert report.commands == [f"rsmooth report {run}"]
    assert (report.facts["rows"], report.facts["whole"]) == (3, True)
    assert not report.marked("look", "wrong")
    (run / "model.pt").write_bytes(model.read_bytes()[:500])
    assert "was cut off" in findings(examine(run), "wrong")["model.pt"]


def test_an_unfinished_journal(tmp_path: Path) -> None:
    report = examine(journal(tmp_path / "a.jsonl", images=5))
    assert "3 of 5 images" in findings(report, "look")["certificates"]


def test_a_torn_journal(tmp_path: Path) -> None:
    path = journal(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes()[:-10])
    assert "bytes of a torn last line" in findings(examine(path), "look")["end"]


def test_a_changed_journal(tmp_path: Path) -> None:
    path = journal(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"label":1', b'"label":2', 1))
    report = examine(path)
    assert "a.jsonl, line 2" in findings(report, "wrong")["certificates.jsonl"]
    assert report.facts["whole"] is False


def test_radii_that_votes_contradict(tmp_path: Path) -> None:
    report = examine(journal(tmp_path / "a.jsonl", wrong=True))
    assert findings(report, "wrong")["radii"].startswith("1 rows contradict their votes: idx 2")


def test_a_training_checkpoint(tmp_path: Path) -> None:
    content = {"format": "rsmooth-training-1", "config": {}, "history": [{"epoch": 0}]}
    report = examine(saved(tmp_path / "checkpoint.pt", content))
    assert report.kind == "a checkpoint of a training by rsmooth"
    assert report.commands == [f"rsmooth doctor {tmp_path}"]


def test_options(tmp_path: Path) -> None:
    (tmp_path / "o.yaml").write_text("sigma: 0.25\n")
    command = f"rsmooth train runs/new --config {tmp_path / 'o.yaml'}"
    assert examine(tmp_path / "o.yaml").commands == [command]
    (tmp_path / "c.yaml").write_text("checkpoint: a.pth\nsigma: 0.25\n")
    assert examine(tmp_path / "c.yaml").commands[0].startswith("rsmooth certify --config")
    for text in ("a: [1", "- 1\n"):
        (tmp_path / "o.yaml").write_text(text)
        assert "options" in findings(examine(tmp_path / "o.yaml"), "wrong")
    (tmp_path / "o.yaml").write_text("colour: red\n")
    assert "none that rsmooth" in findings(examine(tmp_path / "o.yaml"), "look")["options"]
    (tmp_path / "o.yaml").write_text("architecture: a\nsha256: b\n")
    assert examine(tmp_path / "o.yaml").kind == "the card of a trained model"


def test_json_files(tmp_path: Path) -> None:
    write_log(made(), tmp_path / "a.tsv")
    assert examine(tmp_path / "a.tsv.json").kind.startswith("the provenance of a.tsv")
    (tmp_path / "a.tsv").unlink()
    assert "is not beside it" in findings(examine(tmp_path / "a.tsv.json"), "wrong")["table"]
    (tmp_path / "audit.json").write_text('{"rows": []}')
    assert examine(tmp_path / "audit.json").commands == [f"rsmooth report {tmp_path}"]
    own = Report("net.pth", "a raw state dict").record()
    (tmp_path / "r.json").write_text(json.dumps(own))
    assert examine(tmp_path / "r.json").commands == ["rsmooth doctor net.pth"]
    for text in ('{"a": 1}', "[1]", "{"):
        (tmp_path / "o.json").write_text(text)
        with pytest.raises(ValueError, match=r"o\.json"):
            examine(tmp_path / "o.json")


def test_metrics(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "train_loss": 1.0}\n')
    assert examine(tmp_path / "metrics.jsonl").facts["epochs"] == 1


@pytest.mark.parametrize("what", ["metrics.jsonl", "."])
def test_what_a_training_did_not_reach_is_looked_at(what: str, tmp_path: Path) -> None:
    remark = "epsilon ended at 0.15 of 0.5: warmup_epochs=10 is above epochs=3"
    rows: list[dict[str, object]] = [{"epoch": 0}, {"epoch": 1, "remark": remark}]
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert findings(examine(tmp_path / what), "look")["training"] == remark
    metrics.write_text(json.dumps(rows[0]) + "\n")
    assert "training" not in findings(examine(tmp_path / what), "look")
    metrics.write_text(json.dumps(rows[0]) + '\n{"epo')
    assert "a line that cannot be read" in findings(examine(tmp_path / what), "wrong")["metrics"]


def test_images_that_a_model_does_not_take(model: Path) -> None:
    from rsmooth.data.images import ImageData

    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    data = ImageData(images, torch.tensor([0, 1, 0, 1]), torch.arange(4), 2, "made", "test")
    assert "images of (3, 8, 8)" in findings(examine(model, data), "wrong")["images"]


def test_an_audit_is_of_the_record_beside_it_or_of_another(tmp_path: Path) -> None:
    write_log(made(), tmp_path / "a.tsv")
    audit = tmp_path / "a.audit.json"
    audit.write_text(json.dumps(states_of(read_log(tmp_path / "a.tsv"), tmp_path / "a.tsv")))
    assert findings(examine(audit), "ok")["record"] == f"it has tested {tmp_path / 'a.tsv'}"
    audit.write_text(json.dumps({"config": "0" * 16}))
    assert "is another than it has tested" in findings(examine(audit), "wrong")["record"]
    audit.write_text(json.dumps({"idx": []}))  # as earlier versions wrote it
    assert "record" not in findings(examine(audit), "ok")


@pytest.mark.parametrize("content", [b"", b"no journal\n"])
def test_an_audit_beside_a_record_that_cannot_be_read_is_examined(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "a.audit.json").write_text(json.dumps({"config": "0" * 16}))
    report = examine(tmp_path / "a.audit.json")
    assert "a.jsonl" in findings(report, "look")["record"]
