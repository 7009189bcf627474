"""One writer at a time, and patience with one that is about to end."""

from __future__ import annotations

import errno
import logging
import os
import platform
import sys
import tempfile
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
        assert (tmp_path / "run.writer").read_text().split()[0] == str(os.getpid())
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


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("7 elsewhere-3 ab\n", "process 7 on elsewhere-3"),
        (f"7 {platform.node() or '?'} ab\n", "process 7"),
        ("7\n", "process 7"),  # of earlier versions
        ("", "another process"),
        ("x y\n", "another process"),
    ],
)
def test_a_writer_on_another_machine_is_named_with_it(mark: str, told: str, tmp_path: Path) -> None:
    with FileLock(tmp_path / "run"):
        own = (tmp_path / "run.writer").read_text()
        (tmp_path / "run.writer").write_text(mark)
        with pytest.raises(LockedError, match=f"but {told} is writing it"):
            FileLock(tmp_path / "run")
        (tmp_path / "run.writer").write_text(own)


def test_an_error_within_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FileLock(tmp_path / "run"):
        raise KeyError
    FileLock(tmp_path / "run").release()


def test_a_full_disk_is_named_and_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"No space left .*/run"):
        FileLock(tmp_path / "run")
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    FileLock(tmp_path / "run").release()


def test_a_symbolic_link_meets_the_lock_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "file")
    with (
        FileLock(tmp_path / "deep" / "file"),
        pytest.raises(LockedError, match=rf"link, but process {os.getpid()} is writing it"),
    ):
        FileLock(tmp_path / "link")
    with FileLock(tmp_path / "link"):
        assert (tmp_path / "deep" / "file.lock").exists()


@pytest.mark.parametrize("windows", [False, True])
def test_a_hard_link_meets_the_lock_of_its_file(
    windows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernel's lock of the open file, or by a lock file named after device and inode."""
    if windows:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setitem(sys.modules, "fcntl", None)  # type: ignore[arg-type]
    (tmp_path / "file").touch()
    os.link(tmp_path / "file", tmp_path / "hard")
    descriptors = [os.open(tmp_path / name, os.O_RDWR) for name in ("file", "hard")]
    first, second = (FileLock(tmp_path / name) for name in ("file", "hard"))
    first.hold_inode(descriptors[0])
    with pytest.raises(LockedError, match=r"hard, but another process .under another name"):
        second.hold_inode(descriptors[1], patience=0.1)
    first.release()
    second.hold_inode(descriptors[1])
    second.release()
    for descriptor in descriptors:
        os.close(descriptor)


def test_a_name_that_went_to_another_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    descriptor = os.open(tmp_path / "file", os.O_RDWR)
    with FileLock(tmp_path / "file") as lock:
        (tmp_path / "other").touch()
        os.replace(tmp_path / "other", tmp_path / "file")
        with pytest.raises(LockedError, match="stay one file, but another one took its name"):
            lock.hold_inode(descriptor)
    os.close(descriptor)


@pytest.mark.skipif(sys.platform == "win32", reason="keeps a folder with an open file in place")
@pytest.mark.parametrize("by", ["nothing", "folder", "link", "file"])
def test_a_folder_that_was_moved_away_is_noticed(by: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with FileLock(run / "file") as lock:
        lock.check()
        run.rename(tmp_path / "moved")
        if by == "folder":
            run.mkdir()
        elif by == "link":
            (tmp_path / "other").mkdir()
            run.symlink_to(tmp_path / "other")
        elif by == "file":
            run.touch()
        with pytest.raises(LockedError, match="stay where it was, but its folder was moved"):
            lock.check()


@pytest.mark.skipif(sys.platform == "win32", reason="keeps a folder with an open file in place")
def test_a_link_to_the_folder_that_leads_elsewhere_is_noticed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "one")
    with FileLock(tmp_path / "latest" / "file") as lock:
        (tmp_path / "latest").unlink()
        (tmp_path / "latest").symlink_to(tmp_path / "two")
        with pytest.raises(LockedError, match="stay where it was"):
            lock.check()


@pytest.mark.skipif(sys.platform == "win32", reason="keeps a folder with an open file in place")
def test_the_lock_of_who_came_into_the_place_is_not_taken_away(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with FileLock(run / "file"):
        run.rename(tmp_path / "moved")
        run.mkdir()
        (run / "file.lock").touch()
        (run / "file.writer").write_text("1\n")  # of another process
    assert {path.name for path in run.iterdir()} == {"file.lock", "file.writer"}


@pytest.mark.skipif(sys.platform == "win32", reason="keeps a folder with an open file in place")
def test_writers_of_one_number_are_told_apart(tmp_path: Path) -> None:
    """Two containers with one file system: in both, the process has the same number."""
    run = tmp_path / "run"
    run.mkdir()
    first = FileLock(run / "file")
    run.rename(tmp_path / "moved")
    run.mkdir()
    with FileLock(run / "file"):
        with pytest.raises(LockedError, match="stay where it was"):
            first.check()
        first.release()
        assert {path.name for path in run.iterdir()} == {"file.lock", "file.writer"}


def test_windows_keeps_the_name_of_a_lock_file_that_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is given back all the same."""
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".lock":
            raise PermissionError(13, "in use")
        remove(path, missing_ok)

    lock = FileLock(tmp_path / "run")
    monkeypatch.setattr(Path, "unlink", unlink)
    lock.release()
    with FileLock(tmp_path / "run"):
        pass
