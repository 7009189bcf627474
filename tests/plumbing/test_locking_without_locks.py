"""File systems that know no locks, as those of clusters may: a plain file takes its place."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from pathlib import Path

import pytest

from rsmooth.plumbing.errors import LockedError
from rsmooth.plumbing.locking import FileLock
from tests.processes import PROCESSES

if sys.platform == "win32":
    pytest.skip("locks in another way", allow_module_level=True)

import fcntl

UNKNOWN = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
TOLD = r"knows no locks .*\.lock\.plain take their place"


def without(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can be locked: the system says this."""

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def hold_and_die(number: int, path: Path) -> None:
    warnings.simplefilter("ignore")
    without(number, pytest.MonkeyPatch())
    lock = FileLock(path)
    assert lock is not None
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("number", UNKNOWN)
def test_a_plain_file_keeps_others_out_until_it_is_given_back(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(number, monkeypatch)
    with pytest.warns(UserWarning, match=TOLD):
        lock = FileLock(tmp_path / "run")
    told = rf"but process {os.getpid()} is .*, or delete (/\S+) if it was killed"
    with pytest.warns(UserWarning, match=TOLD), pytest.raises(LockedError, match=told) as error:
        FileLock(tmp_path / "run")
    named = Path(str(error.value).rpartition(" delete ")[2].removesuffix(" if it was killed"))
    assert str(os.getpid()) in named.read_text()
    lock.release()
    assert not list(tmp_path.iterdir())
    with pytest.warns(UserWarning, match=TOLD):
        FileLock(tmp_path / "run").release()


@pytest.mark.parametrize("number", UNKNOWN)
def test_that_of_a_killed_process_is_taken_over(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = PROCESSES.Process(target=hold_and_die, args=(number, tmp_path / "run"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "run.lock.plain").exists()
    without(number, monkeypatch)
    with pytest.warns(UserWarning, match=TOLD):
        FileLock(tmp_path / "run", patience=10.0).release()
    assert not list(tmp_path.iterdir())


def test_an_error_of_another_kind_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(errno.EIO, monkeypatch)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        FileLock(tmp_path / "run")


def test_a_real_lock_is_not_to_be_deleted(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "run"),
        pytest.raises(LockedError, match=r"or write to another folder$"),
    ):
        FileLock(tmp_path / "run")
