"""One writer at a time: a lock file beside a file, released by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from types import TracebackType

from rsmooth.plumbing.errors import LockedError

logger = logging.getLogger(__name__)

# How long a run waits for a folder that another run holds. That one may still be saving after its
# parent process was killed.
PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.1


class FileLock:
    """An exclusive lock on ``path``, held until ``release`` or the end of a ``with``.

        with FileLock("runs/a/certificates.tsv"):
            ...

    patience: seconds to wait for another holder, in this process or another one. LockedError after
        that.

    The lock file is ``path.lock``. It holds the process id of the holder, which the error names.
    POSIX only (flock).
    """

    def __init__(self, path: str | Path, *, patience: float = 0.0) -> None:
        self.path = Path(f"{os.fspath(path)}.lock")
        self._target = path
        self._fd = self._acquire(time.monotonic() + patience)

    def release(self) -> None:
        """Release the lock and remove the lock file; a second call does nothing."""
        if self._fd < 0:
            return
        # While still locked: nobody else can hold this very file.
        self.path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _acquire(self, deadline: float) -> int:
        said = False
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                if time.monotonic() >= deadline:
                    raise LockedError(
                        f"expected to be the only writer of {self._target}, but process {holder} "
                        "is writing it; wait for that process to end, or write to another folder"
                    ) from None
                if not said:
                    logger.info("waiting for process %s, which is writing %s", holder, self._target)
                said = True
                time.sleep(_POLL_SECONDS)
                continue
            if self._is_current(fd):
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return fd
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        # The last holder may have removed the file between our open and our lock. We then hold a
        # file without a name.
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path))
        except FileNotFoundError:
            return False
