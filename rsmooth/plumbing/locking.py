"""One writer at a time: a lock file beside a file, released by the kernel when its holder dies."""

from __future__ import annotations

import errno
import logging
import os
import platform
import re
import secrets
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import filelock

from rsmooth.plumbing.errors import LockedError

logger = logging.getLogger(__name__)

# How long a run waits for a folder that another run holds. That one may still be saving after its
# parent process was killed.
PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.05
# What a file system says that knows no locks, as those of clusters may.
_UNKNOWN = {
    errno.ENOLCK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    getattr(errno, "ENOTSUP", errno.EOPNOTSUPP),
}


class FileLock:
    """An exclusive lock on ``path``, held until ``release`` or the end of a ``with``.

        with FileLock("runs/a/certificates.tsv"):
            ...

    patience: seconds to wait for another holder, in this process or another one. LockedError after
        that.

    The lock file is ``path.lock``, beside the file itself where ``path`` is a symbolic link.
    ``path.writer`` has the holder's process id and machine, which the error names. Where the file
    system knows no locks, a file that is there for as long as the lock takes its place, with a
    warning. That of a killed holder is noticed on the same machine only.
    """

    def __init__(self, path: str | Path, *, patience: float = 0.0) -> None:
        real = os.path.realpath(path)
        self.path = Path(f"{real}.lock")
        # Not in the lock file: a release of filelock may empty what it opens.
        self._writer = Path(f"{real}.writer")
        self._target = path
        # Whoever releases it need not be the thread that took it.
        self._lock = _lock_of(self.path)
        self._inode: Callable[[], None] | None = None
        # In containers many processes have the same number: the last word tells them apart.
        self._mark = f"{os.getpid()} {_machine()} {secrets.token_hex(8)}\n"
        _wait(self._taken, patience, path, self._holder, self._remedy)
        try:
            self._writer.write_text(self._mark, encoding="ascii")
        except OSError as error:  # a full disk does not name the file
            self._remove_files()
            self.release()
            raise OSError(error.errno, error.strerror, str(path)) from error

    def hold_inode(self, descriptor: int, *, patience: float = 0.0) -> None:
        """Lock the open file itself as well, so that all hard links to it share one writer.

            lock.hold_inode(os.open("runs/a/certificates.jsonl", os.O_RDWR))

        LockedError where another process writes the file under another name, and where ``path`` has
        come to name another file. Released with the lock, or earlier, when ``descriptor`` is
        closed.
        """
        found, named = os.fstat(descriptor), os.stat(self._target)
        if (found.st_dev, found.st_ino) != (named.st_dev, named.st_ino):
            raise LockedError(
                f"expected {self._target} to stay one file, but another one took its name; start "
                "again"
            )

        def taken() -> bool:
            self._inode = _lock_inode(descriptor)
            return self._inode is not None

        _wait(taken, patience, self._target, lambda: "another process (under another name)")

    def release(self) -> None:
        """Release the lock and remove the lock file; a second call does nothing."""
        if self._inode is not None:
            self._inode()
            self._inode = None
        if not self._lock.is_locked:
            return
        # While still locked: nobody else can hold these very files. Who waits for the lock sees
        # that its file has lost its name, and opens a new one. Where the folder was moved away,
        # the files of these names are those of whoever has made it anew.
        if self._in_place():
            self._remove_files()
        self._lock.release()

    def _remove_files(self) -> None:
        with suppress(OSError):  # such as of Windows, which keeps the name of an open file
            self._writer.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """LockedError where the file's folder has been moved, removed or replaced since.

            lock.check()

        What is written by name would then be elsewhere, perhaps in the folder of another run.
        """
        if not self._in_place():
            raise LockedError(
                f"expected {self._target} to stay where it was, but its folder was moved, removed "
                "or replaced; nothing more is written there: put it back, and start again"
            )

    def _in_place(self) -> bool:
        """Whether the path leads to the files that this lock has written.

        By what is in them: some network file systems number a folder anew.
        """
        if f"{os.path.realpath(self._target)}.writer" != str(self._writer):
            return False
        try:
            return self._writer.read_text(encoding="ascii", errors="replace") == self._mark
        except (FileNotFoundError, NotADirectoryError):
            return False

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _taken(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    def _remedy(self) -> str:
        """What else to do where the lock is a mere file, which outlives a killed holder."""
        if isinstance(self._lock, filelock.SoftFileLock):
            return f", or delete {self._lock.lock_file} if it was killed"
        return ""

    def _holder(self) -> str:
        try:
            number, *more = self._writer.read_text(encoding="ascii", errors="replace").split()
        except (OSError, ValueError):
            return "another process"
        elsewhere = f" on {more[0]}" if more and more[0] != _machine() else ""
        return f"process {number}{elsewhere}" if number.isdigit() else "another process"


def _lock_of(path: Path) -> filelock.BaseFileLock:
    """A lock, or a file that stands for one where the file system knows no locks.

    filelock has such a file, too. But several of its releases then let two processes in.
    """
    why = _without_locks(path.parent)
    if not why:
        return filelock.FileLock(path, thread_local=False)
    warnings.warn(  # the same words for each file of a folder, so that they are shown once
        f"the file system of {path.parent} knows no locks ({why}); files *.lock.plain take their "
        "place",
        stacklevel=2,
    )
    return filelock.SoftFileLock(path.with_name(path.name + ".plain"), thread_local=False)


def _without_locks(folder: Path) -> str:
    """What the folder's file system says to a lock of an unnamed file; "" where it gives one."""
    try:
        import fcntl
    except ImportError:  # Windows always has them
        return ""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as probe:
        try:
            fcntl.flock(probe.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return str(error.strerror) if error.errno in _UNKNOWN else ""
    return ""


def _machine() -> str:
    """The name of this machine, as one word of ASCII."""
    return re.sub(r"[^!-~]", "?", platform.node()) or "?"


def _wait(
    taken: Callable[[], bool],
    patience: float,
    target: str | Path,
    holder: Callable[[], str],
    remedy: Callable[[], str] = str,
) -> None:
    """Try until it is taken; LockedError after ``patience`` seconds, with one more remedy."""
    if taken():
        return
    if patience > 0:
        logger.info("waiting for %s, which is writing %s", holder(), target)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        if taken():
            return
    raise LockedError(
        f"expected to be the only writer of {target}, but {holder()} is writing it; wait for that "
        f"process to end, or write to another folder{remedy()}"
    )


def _lock_inode(descriptor: int) -> Callable[[], None] | None:
    """Lock an open file, whatever its names; what unlocks it, or None where it is locked."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _lock_named_inode(os.fstat(descriptor))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:  # a file system without such locks: the lock file beside the name is what is
        return lambda: None

    def unlock() -> None:
        with suppress(OSError):  # closed already, and so unlocked
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    return unlock


def _lock_named_inode(found: os.stat_result) -> Callable[[], None] | None:
    """The same by a lock file named after device and inode, where only filelock can lock."""
    folder = Path(tempfile.gettempdir())
    lock = filelock.FileLock(
        folder / f"rsmooth-{found.st_dev:x}-{found.st_ino:x}.lock", thread_local=False
    )
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return None
    return lock.release
