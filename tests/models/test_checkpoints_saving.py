"""Files are written whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rsmooth.models import atomic_save, safe_load


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "model.pt"
    for value in (1, 2):
        atomic_save({"value": torch.tensor(value)}, path)
        assert torch.load(path, weights_only=True)["value"] == value
    assert os.listdir(path.parent) == ["model.pt"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_file_is_readable_like_any_other(tmp_path):
    atomic_save(1, tmp_path / "a")
    (tmp_path / "b").write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "b").stat().st_mode
    )


@pytest.mark.parametrize("moment", ["torch.save", "os.replace"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, moment):
    path = tmp_path / "model.pt"
    atomic_save({"value": 1}, path)

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(moment, fail)
    with pytest.raises(KeyboardInterrupt):
        atomic_save({"value": 2}, path)
    assert torch.load(path, weights_only=True) == {"value": 1}
    assert os.listdir(tmp_path) == ["model.pt"]


FULL = """
import resource, sys
import torch
from rsmooth.models import atomic_save
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    atomic_save({"value": torch.zeros(10_000)}, sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_disk_that_takes_no_more_is_named_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    atomic_save({"value": 1}, path)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == f"[Errno 27] File too large; the file is as it was before: '{path}'\n"
    assert safe_load(path) == {"value": 1}
    assert os.listdir(tmp_path) == ["model.pt"]


def test_the_bytes_are_on_disk_before_the_name(tmp_path, monkeypatch):
    """Sync file, rename, sync folder: else a power cut can leave an empty file."""
    events = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda handle: (
            events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"),
            fsync(handle),
        )[1],
    )
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("rename"), rename(*names))[1])
    atomic_save(1, tmp_path / "model.pt")
    assert events == ["file", "rename"] + ["folder"] * (os.name != "nt")
