"""Kills, interrupts, full disks, second writers: at most the votes of one round are lost."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsmooth.certify import CertificationLog, certify_dataset, read_log
from rsmooth.certify.run import durable
from rsmooth.certify.votes import schedule as engine
from rsmooth.certify.votes.pool import VotePool
from rsmooth.plumbing.errors import LockedError
from rsmooth.plumbing.files import CRASH_VARIABLE
from rsmooth.plumbing.locking import FileLock
from rsmooth.records.journal import Journal, parse_journal
from tests.certify.nets import small_net
from tests.certify.recorded import SETTINGS, exit_codes, launch, run_in_process, same, seven
from tests.processes import PROCESSES


def interrupted(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Let the pool raise KeyboardInterrupt after so many rounds; rounds of one pass."""
    count, left = VotePool.count, iter(range(rounds))

    def counting(self: VotePool, work: list[Any]) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return count(self, work)

    monkeypatch.setattr(VotePool, "count", counting)


@pytest.mark.parametrize("rounds", [1, 3, 9, 30])
def test_interrupt_keeps_every_vote(
    rounds: int, tmp_path: Path, reference: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_PASSES", 1)
    with monkeypatch.context() as patch:
        interrupted(patch, rounds)
        with pytest.raises(KeyboardInterrupt):
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    drawn: list[int] = []
    count = VotePool.count

    def counting(self: VotePool, work: list[Any]) -> Any:
        drawn.append(sum(piece.stop - piece.start for piece in work))
        return count(self, work)

    monkeypatch.setattr(VotePool, "count", counting)
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )
    assert sum(drawn) == 7 * 320 - rounds * 32


@pytest.mark.parametrize(
    "point",
    [
        "before-append:1",
        "mid-append:1",
        "after-append:1",
        "before-append:5",
        "mid-append:5",
        "after-append:8",
    ],
)
def test_death_at_a_write_is_recovered_from(
    point: str, tmp_path: Path, reference: CertificationLog
) -> None:
    assert exit_codes(launch(tmp_path, **{CRASH_VARIABLE: point})) == [137]
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )


@pytest.mark.parametrize("name", ["certificates.tsv.json", "certificates.tsv"])
def test_death_at_the_table_leaves_nothing_behind(
    name: str, tmp_path: Path, reference: CertificationLog
) -> None:
    assert exit_codes(launch(tmp_path, **{CRASH_VARIABLE: f"{name}/mid-write:1"})) == [137]
    (tmp_path / ".other.tsv.0123456789abcdef.tmp").touch()  # which another run may be writing
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )
    assert sorted(os.listdir(tmp_path)) == [
        ".other.tsv.0123456789abcdef.tmp",
        "certificates.jsonl",
        "certificates.tsv",
        "certificates.tsv.json",
    ]


def test_killed_run_with_workers_resumes_with_two_ranks(
    tmp_path: Path, reference: CertificationLog
) -> None:
    parent = launch(tmp_path, 2)
    journal = tmp_path / "certificates.jsonl"
    wait_for(lambda: journal.exists() and journal.stat().st_size > 0)
    workers_of_parent = children(parent.pid)
    parent.kill()
    assert exit_codes(parent) == [-signal.SIGKILL]
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers_of_parent))
    ranks = [launch(tmp_path, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    assert exit_codes(*ranks) == [0, 0]
    assert (tmp_path / "certificates.tsv").exists()
    assert same(read_log(tmp_path), reference)


def children(pid: int) -> list[int]:
    """The processes that a process has started, where the system tells."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def test_kills_at_random_times_lose_nothing(tmp_path: Path, reference: CertificationLog) -> None:
    moments = random.Random(0)
    for _ in range(6):
        process = launch(tmp_path)
        process.join(moments.uniform(0.0, 0.6))
        process.kill()
        process.join()
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )


def run_on_a_small_disk(folder: Path, room: int) -> None:
    """The run of these tests, where no file can grow beyond ``room`` bytes.

    The exit status is 28 where the error names the file.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        run_in_process(folder, 1, {})
    except OSError as error:
        os._exit(28 if "certificates" in str(error) else 1)


@pytest.mark.parametrize("room", [700, 1500, 3000])
def test_full_disk_is_an_error_and_the_next_start_goes_on(
    room: int, tmp_path: Path, reference: CertificationLog
) -> None:
    process = PROCESSES.Process(target=run_on_a_small_disk, args=(tmp_path, room))
    process.start()
    assert exit_codes(process) == [28]
    journal = tmp_path / "certificates.jsonl"
    assert journal.stat().st_size <= room
    assert not parse_journal(journal).torn_bytes
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )


@pytest.mark.parametrize("started", [False, True])
def test_read_only_folder_is_an_error_and_stays_as_it_was(
    started: bool, tmp_path: Path, reference: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    if started:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "MOST_PASSES", 1)
            interrupted(patch, 20)
            with pytest.raises(KeyboardInterrupt):
                certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    open_file = os.open

    def read_only(
        path: Any, flags: int, *mode: Any, **options: Any
    ) -> int:  # root may write anywhere
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open_file(path, flags, *mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        with pytest.raises(OSError, match=rf"Read-only file system: '{tmp_path}"):
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )


@pytest.mark.parametrize("renames", [0, 1])
def test_table_that_could_not_be_written_is_written_by_the_next_start(
    renames: int, tmp_path: Path, reference: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure before the table or between it and its provenance loses and mixes nothing."""
    replace, left = os.replace, iter(range(renames))

    def failing(source: Any, target: Any) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(
            OSError, match=r"No space left on device; nothing was written: .*certificates\.tsv"
        ):
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    assert same(read_log(tmp_path), reference)
    assert not (tmp_path / "certificates.tsv").exists()
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    assert np.array_equal(read_log(tmp_path / "certificates.tsv").radius, reference.radius)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_second_writer_is_locked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "PATIENCE_SECONDS", 0.0)
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    journal = tmp_path / "certificates.jsonl"
    header = parse_journal(journal).header
    assert header is not None
    with Journal(journal, header), pytest.raises(LockedError):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)


def test_what_another_writer_finished_in_the_meantime_is_not_done_again(
    tmp_path: Path, reference: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a benchmark is started again while the arms of a killed one are still saving."""
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    journal = tmp_path / "certificates.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: whole.index(b"\n") + 1])
    lock = FileLock(journal)

    def finish() -> None:
        journal.write_bytes(whole)
        lock.release()

    monkeypatch.setattr(
        VotePool, "count", lambda self, work: np.zeros((len(work), 5)) if not work else 1 / 0
    )
    threading.Timer(0.5, finish).start()
    assert same(
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False),
        reference,
    )
    assert journal.read_bytes() == whole
