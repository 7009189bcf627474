"""Processes for tests to kill, which start at once: forked from one that has imported everything
and runs no thread.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import reduction
from typing import IO, Any

from rsmooth.certify.run import workers

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "tests.certify.nets",
        "rsmooth.certify",
        "rsmooth.certify.run.dataset",
        "rsmooth.certify.run.proofs",
        "tests.training.helpers",
        "torch._dynamo",
        "rsmooth.cli.certify",
        "rsmooth.cli.train",
        "jsonargparse",
        "sklearn.datasets",
    ]
)


class ForkedWorker:
    """A worker of certification that starts at once: for ``rsmooth.certify.run.workers._start``.

    It has what that module uses of a ``subprocess.Popen``.
    """

    def __init__(self, job: IO[bytes], worker: int) -> None:
        reading, writing = os.pipe()
        self._process = PROCESSES.Process(
            target=_work, args=(_Handed(job.fileno()), _Handed(writing), worker)
        )
        self._process.start()
        os.close(writing)
        self.stdout = os.fdopen(reading, encoding="utf-8")

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self._process.pid or 0, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


class _Handed:
    """A file descriptor that a process gets when it is started."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _taken, (reduction.DupFd(self._descriptor),)


def _taken(handed: Any) -> int:
    descriptor: int = handed.detach()
    return descriptor


def _work(job: int, pipe: int, worker: int) -> None:
    os.dup2(job, 0)
    os.dup2(pipe, 1)
    os.close(pipe)
    workers.main(str(worker), str(os.getppid()))
