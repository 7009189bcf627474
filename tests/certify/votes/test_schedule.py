"""The engine: images are served in rounds, and go on from their record after any interrupt."""

from __future__ import annotations

import itertools
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest

from rsmooth.certify import ABSTAIN, CertifySettings
from rsmooth.certify.cohen import certification
from rsmooth.certify.votes import schedule
from rsmooth.certify.votes.pool import Slice
from rsmooth.certify.votes.requests import Outcome, VoteRequest
from rsmooth.certify.votes.schedule import Drawn, Task, _plan, drive
from tests.certify.nets import images
from tests.certify.votes.pools import make_pool


def test_image_is_told_no_more_than_it_asked_for() -> None:
    """The algorithm sees the votes at its looks, and no vote past a look."""
    pool, x = make_pool(), images(5)
    told: dict[int, list[int]] = {}

    def curious(at: int) -> Any:
        for look in (3, 50, 51):
            votes = yield VoteRequest("estimate", look)
            told.setdefault(at, []).append(int(votes.sum()))
        return Outcome(ABSTAIN, 0.0, votes[:-1], 0, None, 51, ())

    tasks = (Task(at, at, x[at], curious(at)) for at in range(5))
    total = sum(turn.samples for turn in drive(pool, tasks))
    assert told == {at: [3, 50, 51] for at in range(5)}
    assert total == 5 * 51


def test_task_goes_on_from_its_record_and_refuses_another_procedure() -> None:
    pool, image = make_pool(), images(1)[0]
    rule = CertifySettings(n=100).rule(0.25, 0.0)
    task = Task(0, 3, image, certification(rule, 20))
    for room, total in ((20, 20), (30, 50)):
        piece = task.next_slice(room)
        task.receive(pool.count([piece])[0], piece.stop - piece.start, 0.5)
        assert task.drawn.total == total
    again = Task(0, 3, image, certification(rule, 20), Drawn.of_record(task.drawn.record()))
    assert again.next_slice(1000) == Slice("estimate", image, 3, 30, 100)
    assert again.drawn.seconds == 1.0
    with pytest.raises(RuntimeError, match="waits for"):
        _ = again.outcome
    with pytest.raises(ValueError, match="another procedure"):
        Task(0, 3, image, certification(rule, 21), task.drawn)


def test_a_round_has_so_many_copies_and_takes_in_no_image_beyond_them() -> None:
    rule, x, running = CertifySettings(n=100).rule(0.25, 0.0), images(5), list[Task]()
    tasks = (Task(at, at, x[at], certification(rule, 8)) for at in range(5))
    work = _plan(running, tasks, 20)
    assert [(task.position, piece.start, piece.stop) for task, piece in work] == [
        (0, 0, 8),
        (1, 0, 8),
        (2, 0, 4),
    ]
    assert [task.position for task in running] == [0, 1, 2]


def test_however_slow_a_pass_is_all_images_are_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round is of one pass at least."""
    monkeypatch.setattr(schedule.time, "perf_counter", itertools.count(step=1000.0).__next__)
    rule, x = CertifySettings(n=100).rule(0.25, 0.0), images(3)
    tasks = [Task(at, at, x[at], certification(rule, 8)) for at in range(3)]
    sizes = [turn.samples for turn in drive(make_pool(), iter(tasks))]
    assert all(task.finished for task in tasks)
    assert sum(sizes) == 3 * 108
    assert max(sizes) == 32
    # Each image has its share of the time of each round.
    assert sum(task.drawn.seconds for task in tasks) == pytest.approx(1000.0 * len(sizes))


def feed(task: Task) -> Outcome:
    """Serve a task seven votes at a time: sample i votes for class 1 unless i mod 9 is 0."""
    while not task.finished:
        piece = task.next_slice(7)
        classes = [int(sample % 9 != 0) for sample in range(piece.start, piece.stop)]
        task.receive(np.bincount(classes, minlength=4).astype(np.int64), len(classes), 0.0)
    return task.outcome


def test_an_interrupt_between_any_two_lines_neither_repeats_nor_mixes_votes() -> None:
    image, rule = images(1)[0], CertifySettings(n=100, mode="radius", radius=0.1).rule(0.5, 0.0)
    expected, line = feed(Task(0, 3, image, certification(rule, 20))), 0
    assert expected.looks[-1][1] < expected.looks[-1][0] == expected.samples > 32

    def interrupting(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith("schedule.py"):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return interrupting

    interrupted = True
    while interrupted:
        line += 1
        left, task, interrupted = line, Task(0, 3, image, certification(rule, 20)), False
        before = sys.gettrace()
        sys.settrace(interrupting)
        try:
            feed(task)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.settrace(before)
        found = feed(
            Task(0, 3, image, certification(rule, 20), Drawn.of_record(task.drawn.record()))
        )
        assert found.looks == expected.looks, f"interrupted before line {line}"
        assert found.counts.tolist() == expected.counts.tolist()
    assert line > 100


def test_a_record_of_more_votes_than_samples_is_refused() -> None:
    image, rule = images(1)[0], CertifySettings(n=100).rule(0.5, 0.0)
    unsound = Drawn((), 5, np.array([3, 3, 0, 0]))
    with pytest.raises(ValueError, match="expected 5 recorded votes, got 6"):
        Task(0, 3, image, certification(rule, 20), unsound)
