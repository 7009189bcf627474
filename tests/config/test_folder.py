"""The run folder: whose it is, and in what two configurations differ."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rsmooth.config.folder import (
    certified_runs,
    claim,
    claimed,
    differing,
    model_path,
    read_config,
    uncertified_runs,
)
from rsmooth.models import shipped
from rsmooth.plumbing.errors import LockedError


def test_a_name_and_a_mapping_of_it_are_the_same_configuration() -> None:
    old = {"dataset": "digits", "trainer": {"name": "gaussian"}}
    assert differing(old, {"dataset": {"name": "digits"}, "trainer": "gaussian"}) == []
    assert differing(old, {"dataset": {"name": "digits", "seed": 1}, "trainer": "smoothadv"}) == [
        "dataset.seed = 1 where it has None",
        "trainer.name = 'smoothadv' where it has 'gaussian'",
    ]


def test_a_key_that_an_earlier_version_did_not_know_is_null(tmp_path: Path) -> None:
    claim(tmp_path / "run", {"sigma": 0.25, "attack": None})
    claim(tmp_path / "run", {"sigma": 0.25, "noise": None})
    with pytest.raises(ValueError, match=r"sigma = 0\.5 where it has 0\.25"):
        claim(tmp_path / "run", {"sigma": 0.5})
    assert read_config(tmp_path / "run") == {"sigma": 0.25, "attack": None}


def fail_in(run: Path, error: BaseException, leaving: str | None = None) -> None:
    """An error within a run folder that is claimed, after a file was written there."""
    with claimed(run, {"sigma": 0.25}):
        if leaving is not None:
            (run / leaving).touch()
        raise error


def test_an_error_before_anything_was_trained_withdraws_the_claim(tmp_path: Path) -> None:
    run, own = tmp_path / "run", tmp_path / "own"
    own.mkdir()
    for folder in (run, own):
        with pytest.raises(ValueError, match="no teacher"):
            fail_in(folder, ValueError("no teacher"), leaving="effective.yaml")
    assert not run.exists()
    assert list(own.iterdir()) == []  # a folder that was there stays
    for error in (LockedError(), KeyboardInterrupt()):
        other = tmp_path / type(error).__name__
        with pytest.raises(type(error)):
            fail_in(other, error)
        assert read_config(other) == {"sigma": 0.25}


def test_an_error_later_on_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError):
        fail_in(run, RuntimeError(), leaving="checkpoint.pt")
    assert read_config(run) == {"sigma": 0.25}
    (run / "checkpoint.pt").unlink()
    with pytest.raises(RuntimeError):  # of a later call
        fail_in(run, RuntimeError())
    assert read_config(run) == {"sigma": 0.25}


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected weights last or best, got 'first'"):
        model_path(tmp_path, "first")
    with pytest.raises(ValueError, match="run rsmooth train first"):
        model_path(tmp_path, "best")


def test_a_name_that_is_no_file_may_be_that_of_a_model_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "some.safetensors").write_bytes(b"weights")
    (tmp_path / "some.yaml").write_text(f"title: one\nsha256: {digest}\n")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert model_path(Path("some"), "last") == tmp_path / "some.safetensors"
    Path("some").write_bytes(b"a file of the user")
    assert model_path(Path("some"), "last") == Path("some")


def test_a_folder_of_runs_stands_for_the_certified_ones_in_it(tmp_path: Path) -> None:
    for name in ("b", "a", "trained-only"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "runs" / name / "certificates.jsonl").touch()
    runs = tmp_path / "runs"
    log = tmp_path / "sigma_0.25"
    assert certified_runs([runs, log]) == [runs / "a", runs / "b", log]
    assert certified_runs([runs / "b", runs / "a"]) == [runs / "b", runs / "a"]
    with pytest.raises(ValueError, match=r"got .*trained-only without any; run rsmooth certify"):
        certified_runs([runs, runs / "trained-only"])


def test_run_folders_that_wait_for_their_certificates(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    files = {
        "certified": ["config.yaml", "certificates.jsonl"],
        "claimed": ["arm.yaml"],
        "empty": [],
        "for-others": ["arm.yaml", "config.yaml", "summary.json"],
        "trained": ["config.yaml", "model.pt"],
    }
    for name, within in files.items():
        (runs / name).mkdir(parents=True)
        for file in within:
            (runs / name / file).touch()
    assert uncertified_runs([runs]) == [runs / "claimed", runs / "trained"]
    assert uncertified_runs([runs / "certified", runs / "trained"]) == []
