"""Records of another run, of another program or damaged ones: refused, by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rsmooth.certify import CertificationLog, CertifySettings, certify_dataset
from rsmooth.data import ImageData
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.journal import Journal, parse_journal
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import Scripted, small_net
from tests.certify.recorded import SETTINGS, seven


@pytest.mark.parametrize(
    "change",
    [
        {"n": 400},
        {"alpha": 0.01},
        {"seed": 1},
        {"n0": 30},
        {"arithmetic": "float"},
        {"precision": "bfloat16"},
        {"batch_size": 16},
        {"target": "label"},
    ],
)
def test_another_configuration_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    other = CertifySettings(**{**vars(SETTINGS), **change})
    with pytest.raises(
        RecordError,
        match=next(
            iter({"precision": "dtype", "batch_size": "batch"}.get(key, key) for key in change)
        ),
    ):
        certify_dataset(small_net(), seven(), tmp_path, other, workers=1, progress=False)


def test_another_model_or_other_images_are_refused(tmp_path: Path) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    other = small_net()
    with torch.no_grad():
        next(other.base.parameters()).add_(1e-3)
    with pytest.raises(RecordError, match=r"model\.hash"):
        certify_dataset(other, seven(), tmp_path, SETTINGS, workers=1, progress=False)
    with pytest.raises(
        RecordError, match=r"dataset\.(fingerprint|images|index).*write to another journal .*--out"
    ):
        certify_dataset(
            small_net(), seven().subset([0, 1]), tmp_path, SETTINGS, workers=1, progress=False
        )


def forge(folder: Path, header: dict[str, Any] | None = None, **look: Any) -> None:
    """A sound journal with another header or foreign votes, as another program may write it."""
    path = folder / "certificates.jsonl"
    contents = parse_journal(path)
    assert contents.header is not None
    path.unlink()
    with Journal(path, {**contents.header, **(header or {})}) as journal:
        if look:
            journal.append(
                "look",
                {
                    "idx": 3,
                    "answers": [],
                    "reached": 32,
                    "votes": [30, 2, 0, 0, 0],
                    "seconds": 1.0,
                    **look,
                },
            )


@pytest.mark.parametrize("change", [{"new": 1}, {"batch": "32"}, {"torch": None}])
def test_a_numerics_profile_of_another_version_is_refused_by_name(
    change: dict[str, Any], tmp_path: Path, reference: CertificationLog
) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    numerics = {**reference.provenance["numerics"], **change}
    forge(
        tmp_path, {"numerics": {key: value for key, value in numerics.items() if value is not None}}
    )
    with pytest.raises(
        RecordError, match=r"certificates\.jsonl: expected a numerics profile of device.*--out"
    ):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ({"reached": 33}, "for idx 3 in .*certificates.jsonl .*expected 33 recorded votes, got 32"),
        ({"idx": 4}, "for idx 4 in .*certificates.jsonl"),
        (
            {"answers": [["estimate", 40, [40, 0, 0, 0, 0]]]},
            "for idx 3 in .*certificates.jsonl .*another procedure",
        ),
        (
            {"answers": 5},
            "certificates.jsonl, line 2: expected the votes of an unfinished image, got TypeError",
        ),
        (
            {"answers": [["estimate"]]},
            "certificates.jsonl, line 2: expected the votes of an unfinished image, got Value",
        ),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_votes_of_another_program_are_refused_by_name(
    look: dict[str, Any], said: str, workers: int, tmp_path: Path
) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    forge(tmp_path, **look)
    with pytest.raises(RecordError, match=said):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=workers, progress=False)


@pytest.mark.parametrize("target", ["predict", "label"])
def test_a_label_that_is_no_class_of_the_model_is_refused(target: Any, tmp_path: Path) -> None:
    """Label K would be certified by the copies without finite logits, which the votes end with."""
    g = SmoothedClassifier(Scripted("half nan"), sigma=0.01, num_classes=3)
    bright = torch.full((2, 1, 2, 2), 255, dtype=torch.uint8)
    data = ImageData(bright, torch.tensor([3, 3]), torch.arange(2), 4, "bright", "test")
    settings = replace(SETTINGS, target=target)
    with pytest.raises(ValueError, match=r"expected labels within 0\.\.2, got 3\.\.3"):
        certify_dataset(g, data, tmp_path / "run", settings, workers=1, progress=False)
    assert not (tmp_path / "run").exists()


def test_no_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected images to certify, got none"):
        certify_dataset(small_net(), seven().subset([]), tmp_path, SETTINGS, progress=False)


@pytest.mark.parametrize("workers", [1.5, True, "2", float("nan")])
def test_a_number_of_workers_is_an_integer(workers: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected an integer number of workers, got"):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=workers, progress=False)
