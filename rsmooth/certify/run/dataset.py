"""Certifying a data set into a journal that survives every interruption.

Every finished image is on disk as soon as it is known. The votes of unfinished images follow where
a kill would lose many. A run that is started again reads all journals and draws only what is
missing. The number of workers or ranks may change between the starts.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rsmooth.certify.proof.rules import DESIGNED_MODES
from rsmooth.certify.provenance import stated
from rsmooth.certify.restate import check_extension
from rsmooth.certify.run.durable import certify_durably, journal_path
from rsmooth.certify.run.header import model_section, run_header
from rsmooth.certify.run.shards import Shards, agree, profile_of
from rsmooth.certify.run.stream import Event, certify_positions, open_task
from rsmooth.certify.run.workers import certify_with_workers, check_portable
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.images import stored_images
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import VotePool
from rsmooth.certify.votes.profile import recall_profile
from rsmooth.certify.votes.schedule import Drawn, open_pool
from rsmooth.data.convert import Convertible, as_data
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_integer
from rsmooth.plumbing.parallel import rank_and_world
from rsmooth.plumbing.processes import usable_cores
from rsmooth.plumbing.tensors import check_labels
from rsmooth.records.figures import OnCertified
from rsmooth.records.log import CertificationLog
from rsmooth.smoothed import SmoothedClassifier, check_smoothed

WORKERS_WORTH_SECONDS = 30.0  # a worker process takes a few seconds to start
OPERATIONS_PER_SECOND = 7e10  # of a core in float32, roughly: it decides no result


def certify_dataset(
    g: SmoothedClassifier,
    data: ImageData | FolderData | Convertible,
    path: str | os.PathLike[str],
    settings: CertifySettings,
    *,
    workers: int | None = None,
    progress: bool = True,
    provenance: Mapping[str, Any] | None = None,
    extends: CertificationLog | None = None,
    on_certified: OnCertified | None = None,
) -> CertificationLog:
    """Certify the images of ``data`` that no earlier start has certified; returns the whole record.

        certify_dataset(g, splits.test, "runs/smoothadv", CertifySettings(n=100_000))

    data: a split of ``load_dataset``; or a data set of any kind that ``fit`` takes, in the order in
        which it comes, the same at every start. The record calls its split "as given".
    path: a run folder, or the journal (``*.jsonl``) to write. Once all images are there, the
        published table and its provenance are written beside it.
    workers: one-thread processes on a CPU. None takes one per core where the run is long.
    progress: whether to show a bar.
    provenance: further entries of the record, by section ("model", "dataset"). The same at every
        start.
    extends: an earlier run of mode "fixed" that gets these samples, of another seed, with
        ``append_samples``. This run takes over its numerics. What could not be added is refused
        before the first vote.
    on_certified: called once all images are certified, with the ``figures_of`` the record: names
        and numbers for a tracker. The files are there by then. Also where an earlier start had
        certified everything.

    Under torchrun every rank certifies its share into a journal of its own. The last one to finish
    writes the table. The others return what is there by then. ValueError for no images, and for
    labels that are no classes of g. RecordError for a journal of another configuration, a damaged
    one, and a file of somebody else in the place of journal or table; it stays as it is.
    LockedError where another process writes it, also under another name (a link).
    """
    check_smoothed(g)
    data = as_data(data, g.num_classes)
    if not len(data):
        raise ValueError("expected images to certify, got none; choose at least one")
    check_labels(data.labels, len(data), g.num_classes)
    journal = journal_path(path)
    world = rank_and_world()[1]
    shards = Shards(journal)
    settings = _as_designed(settings, shards)
    pool = _open_pool(g, data, settings, shards, world, extends)
    recorded = shards.model() or (None if extends is None else extends.provenance.get("model"))
    said = {
        "model": model_section(g, recorded),
        **stated(settings, pool.source),
        "numerics": pool.network.profile.record(),
    }
    header = run_header(data, pool.shape, said, provenance or {})
    if extends is not None:
        check_extension(extends, header)

    def events(positions: list[int], drawn: Mapping[int, Drawn]) -> Generator[Event]:
        count = _worker_count(g, settings, pool, len(positions), workers, world)
        if count > 1:
            profile = pool.network.profile
            return certify_with_workers(g, data, settings, profile, positions, drawn, count)
        return certify_positions(pool, data, settings, positions, drawn)

    return certify_durably(
        data,
        shards,
        header,
        events,
        check=lambda drawn: _check_drawn(drawn, data, settings, pool, journal),
        progress=progress,
        samples_each=settings.n0 + settings.n if settings.mode == "fixed" else None,
        on_certified=on_certified,
    )


def _as_designed(settings: CertifySettings, shards: Shards) -> CertifySettings:
    """The settings with the design of the tests that earlier starts have used."""
    if settings.mode not in DESIGNED_MODES or settings.design is not None:
        return settings
    return replace(settings, design=shards.design())


def _open_pool(
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    settings: CertifySettings,
    shards: Shards,
    world: int,
    extends: CertificationLog | None,
) -> VotePool:
    """The pool with the numerics of earlier starts, so that all votes are of one function."""
    first = data.batch([0])[0]
    shape = stored_images(first, settings.arithmetic, first.shape[1]).shape[1:]
    source = noisy_images(settings.arithmetic, g.noise, settings.seed, shape)
    settings.rule(g.noise, source.total_variation)  # refuses an n that can never certify
    samples = settings.expected_samples(len(data)) / world
    recorded = shards.profile()
    if recorded is None and extends is not None and "numerics" in extends.provenance:
        recorded = profile_of(extends.provenance["numerics"], "the run to extend")
    if recorded is None:
        chosen = open_pool(g, source, shape, settings, samples)
        if world == 1:
            return chosen
        shared = shards.path.with_suffix(".numerics.json")
        recorded = profile_of(agree(shared, chosen.network.profile.record()), shared)
        if recorded == chosen.network.profile:
            return chosen
    return open_pool(
        g, source, shape, settings, samples, recall_profile(g, shape, settings, recorded)
    )


def _check_drawn(
    drawn: Mapping[int, Drawn],
    data: ImageData | FolderData,
    settings: CertifySettings,
    pool: VotePool,
    journal: Path,
) -> None:
    """RecordError unless this run can continue from the recorded votes of unfinished images."""
    rule = settings.rule(pool.source.noise, pool.source.total_variation)
    position = {idx: at for at, idx in enumerate(data.index.tolist())}
    try:
        for idx, votes in drawn.items():
            open_task(rule, data, settings, position[idx], votes)
    except (LookupError, ValueError) as error:
        raise RecordError(
            f"expected votes of this run for idx {idx} in {journal} and the journals beside it, "
            f"got others ({error}); write to another journal (on the command line: --out "
            "FILE.jsonl)"
        ) from error


def _worker_count(
    g: SmoothedClassifier,
    settings: CertifySettings,
    pool: VotePool,
    images: int,
    workers: int | None,
    world: int,
) -> int:
    if workers is not None and check_integer(workers, "number of workers", 2) < 1:
        raise ValueError(f"expected workers >= 1, got {workers}")
    on_cpu = pool.network.device.type == "cpu"
    if workers is not None:
        if workers > 1 and not on_cpu:
            raise ValueError(
                f"expected workers=1 on {pool.network.device}, got {workers}; start one rank per "
                "GPU with torchrun instead"
            )
        if workers > 1:
            check_portable(g)
        return max(1, min(workers, images))
    # A caller that limits torch to one thread uses the other cores for something else.
    cores = min(usable_cores(), torch.get_num_threads())
    if not on_cpu or world > 1 or cores == 1 or images < 2:
        return 1
    operations = pool.operations * settings.expected_samples(images)
    if operations / OPERATIONS_PER_SECOND < WORKERS_WORTH_SECONDS:
        return 1
    try:
        check_portable(g)
    except ValueError:
        return 1
    return min(cores, images)
