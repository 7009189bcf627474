"""Deterministic certificates of a data set, in the journal that probabilistic ones have."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from rsmooth.certify.deterministic import IMAGES_AT_ONCE, Engine, Proof
from rsmooth.certify.run.durable import certify_durably, journal_path
from rsmooth.certify.run.header import run_header
from rsmooth.certify.run.shards import Shards
from rsmooth.certify.run.stream import Event
from rsmooth.certify.run.workers import events_of_workers
from rsmooth.certify.votes.schedule import Drawn
from rsmooth.data.convert import Convertible, as_data, to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.plumbing.numbers import check_integer
from rsmooth.records.figures import OnCertified
from rsmooth.records.log import CertificationLog


def prove_dataset(
    engine: Engine,
    data: ImageData | FolderData | Convertible,
    path: str | os.PathLike[str],
    *,
    model: Mapping[str, Any],
    workers: int | None = None,
    progress: bool = True,
    provenance: Mapping[str, Any] | None = None,
    on_certified: OnCertified | None = None,
) -> CertificationLog:
    """Prove certificates of the images that no earlier start has finished; the whole record.

        engine = BoundEngine(g, BoundSettings(epsilons=[2 / 255]), (3, 32, 32))
        prove_dataset(engine, splits.test, "runs/ibp", model=model_section(g))

    engine: what proves them, such as ``BoundEngine``.
    model: the model section of the record, from ``rsmooth.certify.run.header.model_section``.
    workers: one-thread processes; None is one.

    Journal, resume, ranks, bar and table are those of ``certify_dataset``, and so are the other
    arguments and errors.
    """
    data = as_data(data)
    if not len(data):
        raise ValueError("expected images to certify, got none; choose at least one")
    if workers is not None and check_integer(workers, "number of workers", 2) < 1:
        raise ValueError(f"expected workers >= 1, got {workers}")
    said = {"model": dict(model), **engine.record()}
    shape = data.batch([0])[0].shape[1:]
    header = run_header(data, shape, said, provenance or {})

    def events(positions: list[int], drawn: Mapping[int, Drawn]) -> Generator[Event]:
        count = min(workers or 1, len(positions))
        if count > 1:
            return events_of_workers(prove_positions, (engine, data), positions, {}, count)
        return prove_positions(engine, data, positions, {})

    shards = Shards(journal_path(path))
    return certify_durably(
        data, shards, header, events, progress=progress, on_certified=on_certified
    )


def prove_positions(
    engine: Engine,
    data: ImageData | FolderData,
    positions: Sequence[int],
    drawn: Mapping[int, Drawn],
) -> Generator[Event]:
    """Prove the images at ``positions``; the events of each come as soon as it is decided."""
    for start in range(0, len(positions), IMAGES_AT_ONCE):
        part = list(positions[start : start + IMAGES_AT_ONCE])
        pixels, labels = data.batch(part)
        began = time.perf_counter()
        proofs = engine.prove(to_unit(pixels))
        seconds = (time.perf_counter() - began) / len(part)
        for at, label, proof in zip(part, labels.tolist(), proofs, strict=True):
            yield "image", _image_record(int(data.index[at]), label, proof, seconds)
        yield "round", {"finished": len(part), "samples": 0}


def _image_record(idx: int, label: int, proof: Proof, seconds: float) -> dict[str, Any]:
    return {
        "idx": idx,
        "label": label,
        "predict": proof.label,
        "radius": proof.radius,
        "correct": int(proof.label == label),
        "seconds": seconds,
        "bounds": proof.method,
        "margin": proof.margin,
    }
