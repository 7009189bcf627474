"""What every recorded certification has in common: it goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rsmooth.certify.run.shards import Shards
from rsmooth.certify.run.stream import Event, take_all
from rsmooth.certify.votes.schedule import Drawn
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.locking import PATIENCE_SECONDS
from rsmooth.plumbing.parallel import rank_and_world
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.progress import ProgressBar
from rsmooth.records.figures import OnCertified, figures_of
from rsmooth.records.journal import Journal
from rsmooth.records.log import CertificationLog

# Positions of images, and the recorded votes of unfinished ones -> what happens to them.
Events: TypeAlias = Callable[[list[int], Mapping[int, Drawn]], Generator[Event]]


def journal_path(path: str | os.PathLike[str]) -> Path:
    """The journal of a run folder, or the journal itself; its folder is made."""
    journal = user_path(path)
    if not str(path).endswith(".jsonl"):
        journal /= "certificates.jsonl"
    journal.parent.mkdir(parents=True, exist_ok=True)
    return journal


def certify_durably(
    data: ImageData | FolderData,
    shards: Shards,
    header: Mapping[str, Any],
    events: Events,
    *,
    check: Callable[[Mapping[int, Drawn]], None] = lambda drawn: None,
    progress: bool = True,
    samples_each: int | None = None,
    on_certified: OnCertified | None = None,
) -> CertificationLog:
    """Record the events of all images that no earlier start has finished; the whole record.

    events: called once, with the images that this rank has left.
    check: of the recorded votes of unfinished images; it raises for those of another run.
    samples_each: noisy images that one image takes, where that number is fixed.
    on_certified: called with the figures of the record once it is complete.
    """
    rank, world = rank_and_world()
    header = _readable(shards, header)  # refuses another configuration, before there is a journal
    shards.check_table(header)
    own = shards.of_rank(rank, world)
    with Journal(own, header, patience=PATIENCE_SECONDS, known=shards.known(own)) as record:
        finished, drawn = shards.read(header)  # again, now that nobody else writes it
        check(drawn)
        index = data.index.tolist()
        mine = [
            position
            for position in range(rank, len(data), world)
            if index[position] not in finished
        ]
        with ProgressBar(
            len(data),
            progress and rank == 0,
            done=len(data) - len(mine) if world == 1 else 0,
            samples_each=samples_each,
        ) as bar:

            def take(event: Event) -> None:
                kind, payload = event
                if kind == "round":
                    bar.update(payload["finished"], payload["samples"])
                else:
                    record.append(kind, payload)

            take_all(events(mine, drawn), take)
    log = _completed(data, shards, world)
    if on_certified is not None and len(log) == len(data):
        on_certified(figures_of(log))
    return log


def _readable(shards: Shards, header: Mapping[str, Any]) -> Mapping[str, Any]:
    """The header of the journals that are there, or of this version; RecordError for another run.

    Earlier versions did not record the file of the weights.
    """
    try:
        shards.read(header)
    except RecordError:
        if "file" not in header.get("model", {}):
            raise
        model = {key: value for key, value in header["model"].items() if key != "file"}
        try:
            shards.read({**header, "model": model})
        except RecordError:
            pass
        else:
            return {**header, "model": model}
        raise
    return header


def _completed(data: ImageData | FolderData, shards: Shards, world: int) -> CertificationLog:
    """The whole record, with its table written once all images are there."""
    log = shards.merged()
    if len(log) == len(data):
        shards.export(log)
    elif world == 1:
        raise RecordError(
            f"expected {len(data)} images in {shards.path}, got {len(log)}; run it again"
        )
    return log
