"""Soft labels by votes: how often a teacher answers each class to an image under noise."""

from __future__ import annotations

import shlex
import tempfile
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsmooth.certify.run.dataset import certify_dataset
from rsmooth.certify.run.shards import Shards
from rsmooth.certify.settings import CertifySettings
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models import hub_card
from rsmooth.models.shipped import is_shipped, shipped_file
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.paths import user_path
from rsmooth.records.files import read_log
from rsmooth.records.log import CertificationLog, IntArray
from rsmooth.smoothed import SmoothedClassifier, check_smoothed
from rsmooth.training.sampling import RunStart

FILE = "soft_labels.jsonl"


def vote_labels(
    teacher: SmoothedClassifier,
    images: ImageData | FolderData,
    path: str | PathLike[str],
    *,
    votes: int = 10_000,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> Tensor:
    """The shares of a teacher's hard votes for each class under its noise: (N, K).

        soft = vote_labels(teacher, data.train, "runs/gaussian/train.jsonl", votes=10_000)
        CatRS().fit(g, data.train, extras={"soft_labels": soft})

    images: as they are at rest, not augmented.
    path: the journal (``*.jsonl``) that keeps the votes. The same call goes on from it.
    votes: per image.
    workers: one-thread processes on a CPU; None takes one per core where the work is long.

    The votes are those of a certification of the true labels in mode "fixed". Under torchrun each
    process takes its share, and the shares of images that another has not finished are missing:
    RecordError. ValueError for too few votes to certify anything.
    """
    check_smoothed(teacher)
    _certify(teacher, images, user_path(path), votes, seed, workers, progress)
    return read_vote_labels(path, images)


def read_vote_labels(path: str | PathLike[str], images: ImageData | FolderData) -> Tensor:
    """The shares of votes that a record of these images holds, in their order: (N, K) float32.

        read_vote_labels("runs/gaussian/train.jsonl", data.train)

    path: a journal or run folder of a certification, such as one of ``rsmooth certify --split
        train``. RecordError for a record of other images, or one that lacks some of them, or keeps
        no votes.

    Warns of a record in another mode than "fixed": its votes stop where they decide, so their
    shares are biased.
    """
    path = user_path(path)
    log = read_log(path) if path.is_dir() else Shards(path).merged()
    _check_votes(log, path)
    mode = log.provenance.get("mode", "fixed")
    if mode != "fixed":
        warnings.warn(
            f"expected votes of mode fixed in {path}, got those of mode {mode}, which stop where "
            "they decide: shares of them are biased; vote in mode fixed",
            stacklevel=2,
        )
    counts = _counts_of(images, log, path)
    if not bool((counts.sum(axis=1) > 0).all()):
        raise RecordError(
            f"expected at least one vote per image in {path}, got none for some; the teacher's "
            "logits are not finite"
        )
    return torch.from_numpy(counts / counts.sum(axis=1, keepdims=True)).float()


def _check_votes(log: CertificationLog, path: str | PathLike[str]) -> None:
    if not len(log):
        raise RecordError(f"expected votes in {path}, got none so far; vote first")
    if log.counts is None:
        raise RecordError(
            f"expected votes in {path}, got a record without; give the journal (.jsonl) in place "
            "of a table"
        )


def _counts_of(
    images: ImageData | FolderData, log: CertificationLog, path: str | PathLike[str]
) -> IntArray:
    """The votes (N, K) on these images in their order; RecordError where the log has others."""
    assert log.counts is not None
    of_record = log.provenance.get("dataset", {}).get("fingerprint")
    if of_record not in (None, images.fingerprint()):
        raise RecordError(
            f"expected votes on these very images in {path}, got those on others (fingerprint "
            f"{of_record}, not {images.fingerprint()}); vote on the training images as they are"
        )
    wanted = images.index.numpy()
    at = np.searchsorted(log.idx, wanted).clip(max=len(log) - 1)
    missing = int((log.idx[at] != wanted).sum())
    if missing or log.counts.shape[1] != images.num_classes:
        raise RecordError(
            f"expected votes of {images.num_classes} classes on all {len(images)} images in "
            f"{path}, got {log.counts.shape[1]} classes and {missing} images without votes; vote "
            "on the rest first"
        )
    counts: IntArray = log.counts[at]
    return counts


def votes_of_teacher(
    start: RunStart, name: str, *, teacher: str | None, votes: int, file: str | None
) -> Mapping[str, Tensor]:
    """The votes as an extra of that name, from the file or the teacher; none without both.

    file: None for one in the run folder. A file that has all votes already needs no teacher.
    """
    if teacher is None:
        return {} if file is None else {name: read_vote_labels(file, start.data)}
    judge = _load(teacher, next(start.g.parameters()).device)
    if judge.num_classes != start.g.num_classes:
        raise ValueError(
            f"expected a teacher of {start.g.num_classes} classes, got {judge.num_classes} in "
            f"{teacher}; choose another"
        )
    with tempfile.TemporaryDirectory() as scratch:
        path = user_path(file) if file is not None else (start.run_dir or Path(scratch)) / FILE
        _certify(judge, start.data, path, votes, 0, None, start.progress)
        start.wait()
        return {name: read_vote_labels(path, start.data)}


def _load(teacher: str, device: torch.device) -> SmoothedClassifier:
    """The model of a run folder, of a file, of a folder as the Hub has it, or of the package."""
    path = user_path(teacher)
    if not path.exists() and is_shipped(teacher):
        path = shipped_file(teacher)
    file = path / "model.pt" if path.is_dir() else path
    if not file.exists() and (path / hub_card.CONFIG).is_file():
        file = path
    if not file.exists():
        raise ValueError(
            f"expected a trained teacher in {file}, got no such file; train one first, e.g. by "
            f"rsmooth train {shlex.quote(teacher)}"
        )
    return SmoothedClassifier.load(file, map_location=device)


def _certify(
    teacher: SmoothedClassifier,
    images: ImageData | FolderData,
    path: Path,
    votes: int,
    seed: int,
    workers: int | None,
    progress: bool,
) -> None:
    if path.suffix != ".jsonl":
        raise ValueError(f"expected a journal that ends in .jsonl, got {path}; rename it")
    # Of the label there is no selection, so every sample is a vote that counts.
    settings = CertifySettings(mode="fixed", target="label", n=votes, seed=seed)
    certify_dataset(teacher, images, path, settings, workers=workers, progress=progress)
