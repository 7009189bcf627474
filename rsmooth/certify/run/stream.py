"""A data set's certification as a stream of events, for a journal or a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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

CHECKPOINT_SECONDS = 5.0


def certify_positions(
    pool: VotePool,
    data: ImageData | FolderData,
    settings: CertifySettings,
    positions: Sequence[int],
    drawn: Mapping[int, Drawn],
) -> Iterator[Event]:
    """Certify the images at ``positions``; each event comes as soon as its image is decided.

        for kind, payload in certify_positions(pool, data, settings, range(10), {}):
            journal.append(kind, payload)

    drawn: votes of an earlier run, by image index.

    The votes of unfinished images come every few seconds. They come once more before a
    KeyboardInterrupt is passed on.
    """
    rule = settings.rule(pool.source.noise, pool.source.total_variation)
    labels = data.labels.tolist()
    tasks = (
        open_task(rule, data, settings, at, drawn.get(int(data.index[at]))) for at in positions
    )
    reported: dict[int, int] = {}
    running: list[Task] = []
    reported_at = time.monotonic()
    try:
        for turn in drive(pool, tasks):
            running = turn.running
            for done in turn.finished:
                yield "image", _image_record(done, labels[done.position], settings)
            yield "round", {"finished": len(turn.finished), "samples": turn.samples}
            if time.monotonic() - reported_at >= CHECKPOINT_SECONDS:
                yield from _partial(running, reported)
                reported_at = time.monotonic()
    except KeyboardInterrupt:
        yield from _partial(running, reported)
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


def _partial(running: Sequence[Task], reported: dict[int, int]) -> Iterator[Event]:
    """The votes of every image with new ones since they were last reported.

    reported: the number of votes by position; it is brought up to date.
    """
    for task in running:
        if task.drawn.total > reported.get(task.position, 0):
            reported[task.position] = task.drawn.total
            yield "partial", {"idx": task.image_id, **task.drawn.record()}


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
