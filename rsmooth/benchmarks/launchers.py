"""Where the arms of a preset run: in processes of this machine, on a Ray cluster, or on Slurm.

    runner.run(preset, out, launcher=Ray(address="auto"))

A launcher is a value that starts a job and hands back a handle on it. What an arm does, when it may
start, and what it leaves is the same with each. The folder of the runs has to be one that all
machines share, and rsmooth has to be installed on each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rsmooth.benchmarks.arm import STOPPED
from rsmooth.plumbing.optional import optional
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.processes import apart, interrupt

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 60.0  # of an arm that saves its step
STOP, OUTPUT = "stop", "output.txt"


@dataclass(frozen=True)
class Job:
    """One call of an arm: of ``python -m rsmooth.benchmarks.arm`` on its folder.

    Job(Path("runs/digits/smoothadv"), ("--command", "..."), {"OMP_NUM_THREADS": "2"})

    options: further ones of that call. environment: variables beside those of the machine.
    until: the time (of ``time.time``) at which it stops; None for no limit. threads: that it uses.
    """

    folder: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    until: float | None = None
    threads: int | None = None

    def ask_to_stop(self) -> None:
        """Ask the job, wherever it runs, to save its step and to end."""
        (self.folder / STOP).touch()

    def prepare(self) -> None:
        """Take back what an earlier call was asked."""
        (self.folder / STOP).unlink(missing_ok=True)

    def start(self) -> subprocess.Popen[bytes]:
        """Start it on this machine."""
        command = [sys.executable, "-m", "rsmooth.benchmarks.arm", str(self.folder), *self.options]
        if self.until is not None:
            command += ["--seconds", f"{max(self.until - time.time(), 0.01):.2f}"]
        with (self.folder / OUTPUT).open("ab") as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                **apart(),
            )

    def run(self) -> int:
        """Run it on this machine until it ends or is asked to stop; its exit status.

        Where time was up before it came to run, it is not started.
        """
        if (self.folder / STOP).exists() or (self.until is not None and time.time() >= self.until):
            return STOPPED
        process = self.start()
        asked_at: float | None = None
        try:
            while (code := process.poll()) is None:
                time.sleep(POLL_SECONDS)
                if asked_at is None and (self.folder / STOP).exists():
                    interrupt(process)
                    asked_at = time.monotonic()
                if asked_at is not None and time.monotonic() - asked_at > PATIENCE_SECONDS:
                    process.kill()
        finally:
            if process.poll() is None:  # whatever ends this process ends the arm, in good order
                interrupt(process)
                _wait(process)
        return code


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


class Handle(Protocol):
    """A job under way."""

    def poll(self) -> int | None:
        """Its exit status; None while it runs or waits for its turn."""

    def interrupt(self) -> None:
        """Let it save its step and end."""

    def kill(self) -> None:
        """End it at once."""


class Launcher(Protocol):
    """Where jobs run."""

    def jobs(self, arms: int, usual: int) -> int:
        """How many may be under way at a time, of ``arms`` ones; usual: what the preset says."""

    def start(self, job: Job) -> Handle:
        """Start a job, or have it wait for its turn."""

    def close(self) -> None:
        """Give back what the launcher holds, when all jobs have ended."""


@dataclass(frozen=True)
class Local:
    """Processes of this machine, as many at a time as the preset says."""

    def jobs(self, arms: int, usual: int) -> int:
        return usual

    def start(self, job: Job) -> Handle:
        return _Process(job.start())

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class _Process:
    process: subprocess.Popen[bytes]

    def poll(self) -> int | None:
        return self.process.poll()

    def interrupt(self) -> None:
        interrupt(self.process)

    def kill(self) -> None:
        self.process.kill()


class Ray:
    """Tasks of a Ray cluster, which queues them; one whose worker is lost is started again.

        Ray(address="auto", num_gpus=1)

    address: of the cluster; None starts one on this machine. num_cpus: that an arm takes; None for
    its threads. num_gpus: likewise. retries: how often an arm goes on elsewhere whose worker died.
    Further options are those of ``ray.init``.
    """

    def __init__(
        self,
        address: str | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        retries: int = 3,
        **options: Any,
    ) -> None:
        self._ray: Any = optional("ray", "--launcher ray", "'rsmooth[ray]'")
        self._taken = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": int(retries)}
        self._began = not self._ray.is_initialized()
        if self._began:
            quiet = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
            self._ray.init(**{"address": address, **({} if address else quiet), **options})

    def jobs(self, arms: int, usual: int) -> int:
        return arms

    def start(self, job: Job) -> Handle:
        taken = {**self._taken, "num_cpus": self._taken["num_cpus"] or job.threads or 1}
        task = self._ray.remote(**{key: value for key, value in taken.items() if value is not None})
        return _Task(self._ray, job, task(Job.run).options(name=job.folder.name).remote(job))

    def close(self) -> None:
        if self._began:
            self._ray.shutdown()


@dataclass(frozen=True)
class _Task:
    ray: Any
    job: Job
    reference: Any

    def poll(self) -> int | None:
        ready, _ = self.ray.wait([self.reference], timeout=0)
        if not ready:
            return None
        try:
            code: int = self.ray.get(self.reference)
        except Exception as error:  # as Ray words the loss of a worker
            return _lost(self.job, error)
        return code

    def interrupt(self) -> None:
        self.job.ask_to_stop()

    def kill(self) -> None:
        self.ray.cancel(self.reference, force=True)


class Submitit:
    """Jobs of Slurm, by submitit; one that is preempted or out of time is queued again.

        Submitit(slurm_partition="gpu", timeout_min=600, gpus_per_node=1)

    cluster: "slurm", "local" (processes of this machine), or None for Slurm where there is one.
    folder: of submitit's own files. Further options are those of ``executor.update_parameters``.
    """

    def __init__(
        self, cluster: str | None = None, folder: str | Path = "submitit", **options: Any
    ) -> None:
        library: Any = optional("submitit", "--launcher submitit", "'rsmooth[submitit]'")
        self._executor = library.AutoExecutor(folder=str(user_path(folder)), cluster=cluster)
        self._options = {"timeout_min": 24 * 60, **options}

    def jobs(self, arms: int, usual: int) -> int:
        return arms

    def start(self, job: Job) -> Handle:
        given = {"name": job.folder.name, "cpus_per_task": job.threads or 1, **self._options}
        self._executor.update_parameters(**given)
        return _Queued(job, self._executor.submit(_Resumable(), job))

    def close(self) -> None:
        pass


class _Resumable:
    """What submitit calls, and calls again after a preemption: an arm goes on by itself."""

    def __call__(self, job: Job) -> int:
        return job.run()

    def checkpoint(self, job: Job) -> Any:
        library: Any = optional("submitit", "--launcher submitit", "'rsmooth[submitit]'")
        return library.helpers.DelayedSubmission(self, job)


@dataclass(frozen=True)
class _Queued:
    job: Job
    entry: Any

    def poll(self) -> int | None:
        if not self.entry.done():
            return None
        try:
            code: int = self.entry.result()
        except Exception as error:  # as submitit words a job that was lost
            return _lost(self.job, error)
        return code

    def interrupt(self) -> None:
        self.job.ask_to_stop()

    def kill(self) -> None:
        self.entry.cancel()


def _lost(job: Job, error: Exception) -> int:
    """The status of a job whose process was lost; why is added to what it printed."""
    with (job.folder / OUTPUT).open("a", encoding="utf-8") as output:
        output.write(f"{type(error).__name__}: {' '.join(str(error).split())[:2000]}\n")
    return 1


LAUNCHERS: dict[str, Any] = {"local": Local, "ray": Ray, "submitit": Submitit}


def make_launcher(name: str, options: Mapping[str, Any]) -> Launcher:
    """The launcher of a name with its options; ValueError for others than it takes.

    make_launcher("ray", {"address": "auto", "num_gpus": 1})
    """
    if name not in LAUNCHERS:
        raise ValueError(f"expected a launcher among {', '.join(LAUNCHERS)}, got {name!r}")
    if name == "local" and options:
        raise ValueError(
            f"expected no options of the launcher local, got {', '.join(options)}; leave --launch "
            "out, or name --launcher ray or submitit"
        )
    made: Launcher = LAUNCHERS[name](**options)
    return made
