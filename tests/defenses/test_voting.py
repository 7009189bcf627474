"""Soft labels by votes: the certifier's own, kept, resumed, and of these very images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth import certify
from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.cli import main
from rsmooth.defenses import CatRS, Trainer, read_vote_labels, vote_labels
from rsmooth.plumbing.errors import RecordError
from rsmooth.records import read_log, write_log
from rsmooth.smoothed import SmoothedClassifier
from tests.training.helpers import CLASSES, classifier, images, weights

QUIET: dict[str, Any] = {"progress": False, "workers": 1}
SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 12, "lr": 0.05, "num_noise": 2}


@pytest.fixture(scope="module")
def teacher() -> SmoothedClassifier:
    g = classifier()
    Trainer(epochs=5, batch_size=12, lr=0.1).fit(g, images(), progress=False)
    return g


def test_they_are_the_certifiers_votes_in_the_order_of_the_images(
    teacher: SmoothedClassifier, tmp_path: Path
) -> None:
    data = images().subset(torch.randperm(24, generator=torch.Generator().manual_seed(0)))
    soft = vote_labels(teacher, data, tmp_path / "votes.jsonl", votes=50, **QUIET)
    result = certify(teacher, data.images, n=50, labels=data.labels, index=data.index, seed=0)
    assert result.counts.sum(1).tolist() == [50] * 24, "every sample is a vote that counts"
    torch.testing.assert_close(soft, torch.as_tensor(result.counts) / 50, check_dtype=False)
    assert soft.dtype == torch.float32
    assert len(soft.unique(dim=0)) > 3


def test_what_is_there_is_not_drawn_again(
    teacher: SmoothedClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "votes.jsonl"
    whole = vote_labels(teacher, images(), path, votes=50, **QUIET)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:10]), encoding="utf-8")
    with pytest.raises(RecordError, match=r"got 3 classes and .* images without votes"):
        read_vote_labels(path, images())
    assert torch.equal(vote_labels(teacher, images(), path, votes=50, **QUIET), whole)
    kept = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert kept[:10] == lines[:10]
    with pytest.raises(RecordError, match=r"expected"):
        vote_labels(teacher, images(), path, votes=60, **QUIET)


def test_biased_shares_are_remarked_on(teacher: SmoothedClassifier, tmp_path: Path) -> None:
    grid = CertifySettings(mode="grid", radii=[0.0, 0.1], n=50, n0=10)
    certify_dataset(teacher, images(), tmp_path, grid, **QUIET)
    with pytest.warns(UserWarning, match="got those of mode grid.*biased; vote in mode fixed"):
        read_vote_labels(tmp_path, images())


def test_records_that_do_not_fit_are_refused(teacher: SmoothedClassifier, tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    vote_labels(teacher, images(), path, votes=50, **QUIET)
    with pytest.raises(RecordError, match=r"expected votes on these very images in .*, got those"):
        read_vote_labels(path, images(seed=1))
    with pytest.raises(RecordError, match=r"expected votes in .*, got none so far"):
        read_vote_labels(tmp_path / "absent.jsonl", images())
    write_log(dataclasses.replace(read_log(path), counts=None), tmp_path / "certificates.tsv")
    with pytest.raises(RecordError, match="got a record without"):
        read_vote_labels(tmp_path, images())
    with pytest.raises(ValueError, match=r"a journal that ends in \.jsonl, got .*votes\.npz"):
        vote_labels(teacher, images(), tmp_path / "votes.npz", votes=50)
    with pytest.raises(TypeError, match="expected a SmoothedClassifier"):
        vote_labels(teacher.base, images(), path)  # type: ignore[arg-type]


def fitted(trainer: CatRS, folder: Path | None = None, **options: Any) -> Tensor:
    g = classifier()
    trainer.fit(g, images(), run_dir=folder, progress=False, **options)
    return weights(g)


def test_a_teacher_by_name_gives_what_its_votes_give(
    teacher: SmoothedClassifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the run folder, in a file of its own, or nowhere."""
    (tmp_path / "teacher").mkdir()
    teacher.save(tmp_path / "teacher" / "model.pt")
    by_hand = vote_labels(teacher, images(), tmp_path / "v.jsonl", votes=50, **QUIET)
    expected = fitted(CatRS(**SHORT), extras={"soft_labels": by_hand})
    name = str(tmp_path / "teacher")
    asked = CatRS(teacher=name, votes=50, **SHORT)
    assert torch.equal(fitted(asked), expected)
    assert torch.equal(fitted(asked, tmp_path / "run"), expected)
    assert "certify" not in capsys.readouterr().err, "no bar where none is wanted"
    assert torch.equal(read_vote_labels(tmp_path / "run" / "soft_labels.jsonl", images()), by_hand)
    teacher.save(f"{tmp_path / 'hub'}/")
    assert torch.equal(fitted(CatRS(teacher=f"{tmp_path / 'hub'}", votes=50, **SHORT)), expected)
    of_file = CatRS(soft_label_file=str(tmp_path / "v.jsonl"), **SHORT)
    assert torch.equal(fitted(of_file), expected)
    with pytest.raises(ValueError, match=r"expected a trained teacher in .*, got no such file"):
        fitted(CatRS(teacher=str(tmp_path / "nobody"), **SHORT))
    with pytest.raises(ValueError, match="expected a teacher of 3 classes, got 10 in cifar10-si"):
        fitted(CatRS(teacher="cifar10-sigma-0.25", **SHORT))
    other = SmoothedClassifier(classifier().base, 0.25, CLASSES + 1)
    other.save(tmp_path / "other.pt")
    with pytest.raises(ValueError, match="expected a teacher of 3 classes, got 4"):
        fitted(CatRS(teacher=str(tmp_path / "other.pt"), **SHORT))


def test_a_run_that_goes_on_draws_no_votes_again(
    teacher: SmoothedClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher.save(tmp_path / "teacher.pt")
    asked = CatRS(teacher=str(tmp_path / "teacher.pt"), votes=50, **SHORT)
    first = fitted(asked, tmp_path / "run")
    before = (tmp_path / "run" / "soft_labels.jsonl").read_bytes()
    assert torch.equal(fitted(asked, tmp_path / "run"), first)
    assert (tmp_path / "run" / "soft_labels.jsonl").read_bytes() == before


def test_the_command_line_trains_with_a_teacher(tmp_path: Path) -> None:
    data = ["--dataset.name", "digits", "--dataset.validation", "0.98", "--model", "small-cnn"]
    short = ["--trainer.epochs", "1", "--sigma", "0.25", "--progress", "false"]
    gaussian, student = str(tmp_path / "gaussian"), str(tmp_path / "student")
    assert main(["train", gaussian, *data, *short]) == 0
    options = ["--trainer", "cat-rs", "--trainer.teacher", gaussian, "--trainer.votes", "20"]
    assert main(["train", student, *options, *data, *short]) == 0
    assert (tmp_path / "student" / "soft_labels.jsonl").exists()
