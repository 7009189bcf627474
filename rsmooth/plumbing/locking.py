"""One writer at a time: an advisory lock beside a file, released by the kernel when its holder
dies.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import TracebackType

import filelock

from rsmooth.plumbing.errors import LockedError

logger = logging.getLogger(__name__)

# How long a run waits for the folder that another one holds: one that has lost its parent process
# may still be saving.
PATIENCE_SECONDS = 10.0


class FileLock:
    """An exclusive lock on ``path``, held in ``path.lock`` from construction until ``release``, or
    within a ``with``.

    The lock file holds the process id of its holder, so that the one who is locked out can be told.
    A second holder, in this process or another, raises LockedError after ``patience`` seconds of
    waiting.
    """

    def __init__(self, path: str | Path, *, patience: float = 0.0) -> None:
        self.path = Path(f"{os.fspath(path)}.lock")
        self._target = path
        # Whoever releases it need not be the thread that took it.
        self._lock = filelock.FileLock(self.path, thread_local=False)
        self._acquire(patience)
        self.path.write_text(f"{os.getpid()}\n", encoding="ascii")

    def release(self) -> None:
        """Give the lock back and remove the lock file; a second call does nothing."""
        if not self._lock.is_locked:
            return
        # While still locked: nobody else can have taken this very file, and who waits for it sees
        # that it has lost its name and opens a new one.
        self.path.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _acquire(self, patience: float) -> None:
        try:
            self._lock.acquire(timeout=0)
            return
        except filelock.Timeout:
            if patience > 0:
                logger.info("waiting for %s, which is writing %s", self._holder(), self._target)
        try:
            self._lock.acquire(timeout=max(patience, 0))
        except filelock.Timeout:
            raise LockedError(
                f"expected to be the only writer of {self._target}, but {self._holder()} is "
                "writing it; wait for that process to end, or write to another folder"
            ) from None

    def _holder(self) -> str:
        """The holder as the lock file names it; old releases of filelock empty that file."""
        try:
            number = self.path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            number = ""
        return f"process {number}" if number.isdigit() else "another process"
