"""Worker processes on a CPU, of one thread each: faster than one process of many threads.

The parent gives each worker its share of the images, and receives events over a pipe. Only the
parent writes the journal. The workers are fresh interpreters that import nothing of the caller's
script. They end when the parent ends, for whatever reason.
"""

from __future__ import annotations

import json
import mmap
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import IO, Any

import torch

from rsmooth.certify.run.stream import Event, certify_positions, take_all
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.profile import Profile
from rsmooth.certify.votes.schedule import Drawn, open_pool
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.functions import FunctionClassifier
from rsmooth.plumbing.exits import STOPPED
from rsmooth.plumbing.parent import end_with_parent
from rsmooth.plumbing.processes import apart, interrupt, on_interrupts
from rsmooth.records.journal import canonical_json
from rsmooth.smoothed import SmoothedClassifier

_PROGRAM = "import sys; from rsmooth.certify.run.workers import main; main(*sys.argv[1:])"
# For an interrupted worker to end the pass under way, and to report its votes.
PATIENCE_SECONDS = 20.0


def check_portable(g: SmoothedClassifier) -> None:
    """ValueError unless another process can import the classes that the model is made of."""
    for module in g.modules():
        if isinstance(module, FunctionClassifier):
            module.check_portable()
        if type(module).__module__ == "__main__":
            raise ValueError(
                f"expected a model of importable classes for worker processes, got "
                f"{type(module).__name__} from the script itself; move it to a module, or use "
                "workers=1"
            )


def certify_with_workers(
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    settings: CertifySettings,
    profile: Profile,
    positions: Sequence[int],
    drawn: Mapping[int, Drawn],
    workers: int,
) -> Generator[Event]:
    """``certify_positions`` over several processes.

    RuntimeError if one of them dies. What it has reported is not lost.
    """
    index = data.index.tolist()
    known = {index[at]: drawn[index[at]] for at in positions if index[at] in drawn}
    return events_of_workers(_votes, (g, data, settings, profile), positions, known, workers)


def events_of_workers(
    events: Callable[..., Generator[Event]],
    arguments: tuple[Any, ...],
    positions: Sequence[int],
    drawn: Mapping[int, Drawn],
    workers: int,
) -> Generator[Event]:
    """What ``events(*arguments, positions, drawn)`` yields, over several processes.

    events: a function of a module. arguments: what it needs, picklable.
    positions: of images, which the processes share out. drawn: votes of an earlier run.
    """
    shares = [list(positions[worker::workers]) for worker in range(workers)]
    content = {"events": events, "arguments": arguments, "positions": shares, "drawn": drawn}
    # A file without a name: it goes with the last process that has it open, killed or not.
    with tempfile.TemporaryFile() as job:
        torch.save(content, job)
        job.flush()
        team = [_start(job, worker) for worker in range(workers)]
        try:
            yield from _collect(team)
        finally:
            for process in team:
                process.kill()
                process.wait()
                assert process.stdout is not None
                process.stdout.close()


def _start(job: IO[bytes], worker: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(worker), str(os.getpid())],
        text=True,
        encoding="utf-8",
        errors="replace",  # of what is no event
        env=environment,
        stdin=job,
        stdout=subprocess.PIPE,
        **apart(),
    )


def _collect(team: Sequence[subprocess.Popen[str]]) -> Generator[Event]:
    """The events of all workers as they come.

    Those with which they end, when this process is interrupted, come before the KeyboardInterrupt
    is passed on.
    """
    events: queue.Queue[Event | subprocess.Popen[str]] = queue.Queue()
    at_work: set[int] = set()
    for process in team:
        threading.Thread(target=_listen, args=(process, events, at_work), daemon=True).start()
    running = list(team)
    try:
        while running:
            event = events.get()
            if isinstance(event, tuple):
                yield event
            elif event.wait() == 0:
                running.remove(event)
            else:
                raise RuntimeError(
                    "expected a worker process to finish, but it died with status "
                    f"{event.returncode}; finished images are kept: run the same again to "
                    "continue, with fewer workers if memory ran out"
                )
    except KeyboardInterrupt:
        # One that has reported nothing yet may still import its modules, and has no votes.
        yield from _last_events([each for each in running if each.pid in at_work], events)
        raise


def _listen(
    process: subprocess.Popen[str],
    events: queue.Queue[Event | subprocess.Popen[str]],
    at_work: set[int],
) -> None:
    """Put the events of a worker into the queue, and then the worker; note that it has begun.

    What else it prints goes to stderr: an interpreter may greet, before anything of ours is run.
    """
    assert process.stdout is not None
    for line in process.stdout:
        event = _event_of(line)
        if event is not None:
            at_work.add(process.pid)
            events.put(event)
        elif line.strip():
            sys.stderr.write(line)
    events.put(process)


def _event_of(line: str) -> Event | None:
    """The event that a worker tells in a line; None for any other, also of a killed worker."""
    if not (line.startswith('["') and line.endswith("]\n")):
        return None
    try:
        kind, payload = json.loads(line)
    except ValueError:
        return None
    return kind, payload


def _last_events(
    team: Sequence[subprocess.Popen[str]],
    events: queue.Queue[Event | subprocess.Popen[str]],
) -> Generator[Event]:
    """What workers report when they are interrupted: the votes of their unfinished images.

    team: those whose end is not among the events yet. They may have ended all the same, since a
        scheduler stops all processes at once.
    """
    waiting = list(team)
    for process in team:
        interrupt(process)
    until = time.monotonic() + PATIENCE_SECONDS
    while waiting:
        try:
            event = events.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return
        if isinstance(event, tuple):
            yield event
        else:
            waiting = [each for each in waiting if each is not event]


def _work(worker: int, pipe: IO[str]) -> None:
    # Mapped, since all workers share one position in the file.
    with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as job:
        # The parent wrote it, and nobody else can: it may hold any class.
        content: dict[str, Any] = torch.load(job, weights_only=False)  # type: ignore[arg-type]
    torch.set_num_threads(1)

    def tell(event: Event) -> None:
        kind, payload = event
        pipe.write(f"[{json.dumps(kind)},{canonical_json(payload)}]\n")
        pipe.flush()

    share = content["positions"][worker]
    take_all(content["events"](*content["arguments"], share, content["drawn"]), tell)


def _votes(
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    settings: CertifySettings,
    profile: Profile,
    positions: Sequence[int],
    drawn: Mapping[int, Drawn],
) -> Generator[Event]:
    """``certify_positions`` in a process of its own."""
    torch.set_float32_matmul_precision(profile.float32_matmul)
    shape = data.batch([0])[0].shape[1:]
    source = noisy_images(settings.arithmetic, g.noise, settings.seed, shape)
    forecast = settings.expected_samples(len(positions))
    pool = open_pool(g, source, shape, settings, forecast, profile)
    return certify_positions(pool, data, settings, positions, drawn)


def main(worker: str, parent: str) -> None:
    """The life of one worker process: what ``_start`` runs."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    pipe.write("\n")  # ends what was printed before, if anything
    os.dup2(2, 1)  # what a model prints must not mix with the events
    end_with_parent(lambda: os._exit(1), int(parent))
    on_interrupts(signal.default_int_handler)  # whatever was inherited
    try:
        _work(int(worker), pipe)
    except KeyboardInterrupt:
        sys.exit(STOPPED)  # all has been said
