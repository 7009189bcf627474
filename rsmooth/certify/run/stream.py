"""A data set's certification as a stream of events, for a journal or a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from rsmooth.certify.cohen import certification
from rsmooth.certify.proof.stopping import StoppingRule
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.images import stored_images
from rsmooth.certify.votes.pool import VotePool
from rsmooth.certify.votes.schedule import Drawn, Task, drive
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.records.votes import compact

# ("image", its certificate), ("partial", votes of an unfinished image),
# ("round", {"finished": images, "samples": votes}).
Event: TypeAlias = tuple[str, dict[str, Any]]

# How often it is asked which votes of unfinished images to report.
CHECKPOINT_SECONDS = 5.0
# What a kill may lose beside: so many seconds of drawing votes, or this share of the time since the
# start. Some images take long, and the votes of many are unfinished at any moment. Reporting them
# all each time would fill a journal without end.
LOST_SECONDS = 30.0
LOST_SHARE = 0.01


def certify_positions(
    pool: VotePool,
    data: ImageData | FolderData,
    settings: CertifySettings,
    positions: Sequence[int],
    drawn: Mapping[int, Drawn],
) -> Generator[Event]:
    """Certify the images at ``positions``; each event comes as soon as its image is decided.

        for kind, payload in certify_positions(pool, data, settings, range(10), {}):
            journal.append(kind, payload)

    drawn: votes of an earlier run, by image index.

    The votes of unfinished images come now and then, so that a kill loses half a minute or a
    hundredth of the time since the start. They all come before a KeyboardInterrupt is passed on.
    """
    rule = settings.rule(pool.source.noise, pool.source.total_variation)
    labels = data.labels.tolist()
    tasks = (
        open_task(rule, data, settings, at, drawn.get(int(data.index[at]))) for at in positions
    )
    reported = dict(drawn)
    running: list[Task] = []
    decided: list[Task] = []
    started = asked_at = time.monotonic()
    try:
        for turn in drive(pool, tasks):
            running, decided = turn.running, list(turn.finished)
            while decided:
                done = decided.pop(0)
                reported.pop(done.image_id, None)
                yield "image", _image_record(done, labels[done.position], settings)
            yield "round", {"finished": len(turn.finished), "samples": turn.samples}
            if (now := time.monotonic()) - asked_at >= CHECKPOINT_SECONDS:
                may_be_lost = max(LOST_SECONDS, LOST_SHARE * (now - started))
                yield from _partial(running, reported, may_be_lost)
                asked_at = time.monotonic()
    except KeyboardInterrupt:
        for done in decided:
            yield "image", _image_record(done, labels[done.position], settings)
        yield from _partial(running, reported)
        raise


def take_all(events: Generator[Event], take: Callable[[Event], None]) -> None:
    """Call ``take`` with each event; those with which an interrupted run ends come, too.

        take_all(certify_positions(pool, data, settings, range(10), {}), print)

    A KeyboardInterrupt may come while an event is taken. Then the run has not heard of it.
    """
    try:
        for event in events:
            take(event)
    except KeyboardInterrupt as interrupt:
        with suppress(KeyboardInterrupt, StopIteration):
            take(events.throw(interrupt))
            for event in events:
                take(event)
        raise


def open_task(
    rule: StoppingRule,
    data: ImageData | FolderData,
    settings: CertifySettings,
    position: int,
    drawn: Drawn | None,
) -> Task:
    """The certification of one image, with the votes that an earlier run has drawn for it.

    Errors are those of ``Task``.
    """
    images, labels = data.batch([position])
    label = int(labels[0]) if settings.target == "label" else None
    return Task(
        position,
        int(data.index[position]),
        stored_images(images, settings.arithmetic, images.shape[1])[0],
        certification(rule, settings.n0, label),
        drawn,
    )


def _partial(
    running: Sequence[Task], reported: dict[int, Drawn], may_be_lost: float = -1.0
) -> Iterator[Event]:
    """The votes of the images with the most unreported seconds, until few are left.

    reported: the votes that were reported last, by image index; it is brought up to date.
    may_be_lost: seconds that may stay unreported, of all images together; below 0 none may.
    """
    nothing = Drawn()
    before = [reported.get(task.image_id, nothing) for task in running]
    new = [
        (task.drawn.seconds - old.seconds, task)
        for task, old in zip(running, before, strict=True)
        if task.drawn.total > old.total
    ]
    left = sum(seconds for seconds, _ in new)
    for seconds, task in sorted(new, key=lambda each: -each[0]):
        if left <= may_be_lost:
            return
        yield "partial", {"idx": task.image_id, **task.drawn.record()}
        reported[task.image_id] = task.drawn  # not before it was taken
        left -= seconds


def _image_record(task: Task, label: int, settings: CertifySettings) -> dict[str, Any]:
    outcome = task.outcome
    return {
        "idx": task.image_id,
        "label": label,
        "predict": outcome.label,
        "radius": outcome.radius,
        "correct": int(outcome.label == label),
        "seconds": task.drawn.seconds,
        "counts": compact(outcome.counts),
        "invalid": outcome.invalid,
        "selection": None if outcome.selection is None else compact(outcome.selection),
        "n0": outcome.selected_from,
        "n": outcome.samples,
        "looks": [list(look) for look in outcome.looks],
    }
