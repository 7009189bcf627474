"""One writer at a time, and patience with one that is about to end."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest

from rsmooth.plumbing.errors import LockedError
from rsmooth.plumbing.locking import FileLock


def test_patience_outlasts_a_writer_that_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = FileLock(tmp_path / "run")
    threading.Timer(0.3, first.release).start()
    with caplog.at_level(logging.INFO), FileLock(tmp_path / "run", patience=60.0):
        assert (tmp_path / "run.lock").read_text() == f"{os.getpid()}\n"
    assert caplog.text.count(f"waiting for process {os.getpid()}") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("patience", [0.0, 0.3])
def test_a_writer_that_goes_on_is_named_when_patience_ends(patience: float, tmp_path: Path) -> None:
    with FileLock(tmp_path / "run"):
        start = time.monotonic()
        with pytest.raises(
            LockedError, match=rf"only writer of .*run, but process {os.getpid()} is writing it"
        ):
            FileLock(tmp_path / "run", patience=patience)
        assert time.monotonic() - start >= patience


def test_an_error_within_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FileLock(tmp_path / "run"):
        raise KeyError
    FileLock(tmp_path / "run").release()
