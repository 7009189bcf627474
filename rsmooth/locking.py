"""One writer at a time: an advisory lock beside a file, released by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from rsmooth.errors import LockedError


class FileLock:
    """An exclusive lock on ``path``, held in ``path.lock`` from construction until ``release``.

    The lock file holds the process id of its holder, so that the one who is locked out can be told. A second holder,
    in this process or another, raises LockedError at once. POSIX only (flock).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(f"{os.fspath(path)}.lock")
        self._target = path
        self._fd = self._acquire()

    def release(self) -> None:
        """Give the lock back and remove the lock file; a second call does nothing."""
        if self._fd < 0:
            return
        self.path.unlink(missing_ok=True)  # while still locked: nobody else can have taken this very file
        os.close(self._fd)
        self._fd = -1

    def _acquire(self) -> int:
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                raise LockedError(f"expected to be the only writer of {self._target}, but process {holder} is writing "
                                  "it; wait for that process to end, or write to another folder") from None
            if self._is_current(fd):
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return fd
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        # The last holder may have removed the file between our open and our lock: then we hold a file without a name.
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path))
        except FileNotFoundError:
            return False
