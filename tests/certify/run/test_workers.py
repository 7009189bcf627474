"""Worker processes: the same votes as one process, and no vote lost with a dead worker."""

from __future__ import annotations

import io
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from torch import nn

from rsmooth.certify import (
    CertificationLog,
    certify_dataset,
)
from rsmooth.certify.run import dataset, workers
from rsmooth.certify.run.stream import Event
from rsmooth.certify.run.workers import certify_with_workers, check_portable, events_of_workers
from rsmooth.certify.votes.profile import Profile
from rsmooth.certify.votes.requests import VoteRequest
from rsmooth.certify.votes.schedule import Drawn
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import small_net
from tests.certify.recorded import SETTINGS, same, seven


def test_workers_certify_as_one_process_does(tmp_path: Path, reference: CertificationLog) -> None:
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=2, progress=False),
        reference,
    )


def test_models_of_the_script_itself_stay_in_one_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Local(nn.Linear):
        __module__ = "__main__"

    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), Local(16, 4)), 0.25, 4)
    with pytest.raises(ValueError, match="importable classes"):
        certify_dataset(g, seven(), tmp_path, SETTINGS, workers=2, progress=False)
    monkeypatch.setattr(dataset, "WORKERS_WORTH_SECONDS", 0.0)
    assert len(certify_dataset(g, seven(), tmp_path, SETTINGS, progress=False)) == 7


def test_dead_worker_is_reported_and_what_it_earned_is_kept(
    tmp_path: Path, reference: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PROGRAM", "import os; os._exit(3)")
    with pytest.raises(RuntimeError, match="status 3"):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=2, progress=False)
    monkeypatch.undo()
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )


class Talking:
    """A worker whose interpreter greets before anything of ours is run."""

    pid = 7
    stdout = io.StringIO(
        'Welcome to the cluster\n[1, 2]\n["half\n\n["image",{"idx":3}]\n["round",{"finished":1}]'
    )


def test_what_an_interpreter_prints_is_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Else the listener ended, and the run waited for ever."""
    found: queue.Queue[Any] = queue.Queue()
    at_work: set[int] = set()
    workers._listen(Talking, found, at_work)  # type: ignore[arg-type]
    assert [found.get_nowait() for _ in range(found.qsize())] == [("image", {"idx": 3}), Talking]
    assert at_work == {7}
    said = capsys.readouterr().err
    assert said.startswith('Welcome to the cluster\n[1, 2]\n["half\n')


def test_only_importable_classes_are_portable() -> None:
    class Local(nn.Linear):
        __module__ = "__main__"

    check_portable(small_net())
    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), Local(16, 4)), 0.25, 4)
    with pytest.raises(ValueError, match=r"got Local from the script itself; .* workers=1"):
        check_portable(g)


@pytest.mark.usefixtures("forked_workers")
def test_workers_share_the_images_and_what_was_drawn(reference: CertificationLog) -> None:
    assert reference.selection is not None
    chosen = np.append(reference.selection[2], 0)
    drawn = {43: Drawn(((VoteRequest("select", 20), chosen),), 0, np.zeros(0, np.int64), 1.0)}
    profile = Profile.of_record(reference.provenance["numerics"])
    events = list(
        certify_with_workers(small_net(), seven(), SETTINGS, profile, [0, 2, 4], drawn, 2)
    )
    images = {payload["idx"]: payload for kind, payload in events if kind == "image"}
    assert sorted(images) == [3, 43, 83]
    for idx, image in images.items():
        row = int(np.flatnonzero(reference.idx == idx)[0])
        assert image["radius"] == reference.radius[row]
        assert reference.counts is not None
        assert image["counts"] == reference.counts[row].tolist()
    assert sum(payload["samples"] for kind, payload in events if kind == "round") == 3 * 320 - 20


KILLED = """
import os, signal, sys
from rsmooth.certify.run import dataset, workers
from rsmooth.certify import certify_dataset
from tests.certify.nets import small_net
from tests.certify.recorded import SETTINGS, seven

collect = workers._collect

def killed(team):
    for event in collect(team):
        yield event
        os.kill(os.getpid(), signal.SIGKILL)

workers._collect = killed
certify_dataset(small_net(), seven(), sys.argv[1], SETTINGS, workers=2, progress=False)
"""


def endless(positions: list[int], drawn: dict[int, Drawn]) -> Iterator[Event]:
    """What a worker does until it is interrupted."""
    try:
        while True:
            yield "round", {"share": positions[0]}
            time.sleep(0.01)
    except KeyboardInterrupt:
        yield "partial", {"idx": positions[0]}
        raise


@pytest.mark.usefixtures("forked_workers")
def test_an_interrupt_reaches_the_workers_and_their_last_events_come(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = threading.active_count()
    events = events_of_workers(endless, (), [4, 7], {}, 2)
    begun: set[int] = set()
    while begun != {4, 7}:
        begun.add(next(events)[1]["share"])
    said = [events.throw(KeyboardInterrupt())]
    with pytest.raises(KeyboardInterrupt):
        said.extend(events)
    assert sorted(each["idx"] for kind, each in said if kind == "partial") == [4, 7]
    assert capfd.readouterr().err == ""
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before


@pytest.mark.usefixtures("forked_workers")
def test_what_a_worker_said_that_was_stopped_at_the_same_time_comes_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scheduler stops all processes at once: this one has ended before it is asked to."""
    started: list[subprocess.Popen[str]] = []
    start = workers._start

    def starting(job: IO[bytes], worker: int) -> subprocess.Popen[str]:
        started.append(start(job, worker))
        return started[-1]

    monkeypatch.setattr(workers, "_start", starting)
    events = events_of_workers(endless, (), [4, 7], {}, 1)
    assert next(events)[0] == "round"
    started[0].terminate()
    started[0].wait(60)
    said = [events.throw(KeyboardInterrupt())]
    with pytest.raises(KeyboardInterrupt):
        said.extend(events)
    assert [each["idx"] for kind, each in said if kind == "partial"] == [4]


def test_a_worker_that_does_not_answer_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0.2)
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as deaf:
        assert deaf.stdout is not None
        assert deaf.stdout.readline()
        started = time.monotonic()
        assert list(workers._last_events([deaf], queue.Queue())) == []  # type: ignore[list-item]
        deaf.kill()
    assert time.monotonic() - started < 10


DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_parent_leaves_no_file(tmp_path: Path) -> None:
    """Model and data set went to the workers; nothing of them may stay behind."""
    left = tmp_path / "tmp"
    left.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "run")],
        env={**os.environ, "TMPDIR": str(left), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path for path in left.rglob("*") if path.suffix == ".pt"] == []
    assert len(list(left.iterdir())) == 0
