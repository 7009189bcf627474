"""Logs joined from shards without gaps and repeats, and logs of some images of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.journal import describe_difference
from rsmooth.records.log import (
    COLUMNS,
    PROOFS,
    VOTES,
    CertificationLog,
    IntArray,
    check_log,
    some_of,
)
from rsmooth.records.pixels import FINGERPRINTS, joined


def merge(logs: Sequence[CertificationLog]) -> CertificationLog:
    """One log out of the shards of one run; merging again changes nothing.

        merge([read_log(path) for path in sorted(Path("runs/a").glob("certificates.rank*.jsonl"))])

    An image in several shards must have the same certificate in each. The time of the first shard
    counts. RecordError for shards that contradict each other, and for shards of different
    configurations.
    """
    if not logs:
        raise RecordError("expected at least one log to merge, got none")
    first, *others = (_without_fingerprints(check_log(log)) for log in logs)
    for other in others:
        if other != first:
            raise RecordError(
                "expected shards of one configuration, but they differ in "
                f"{describe_difference(first, other)}; merge each run by itself"
            )
    parts = [log for log in logs if len(log)] or list(logs[:1])
    if len(parts) == 1:
        return parts[0]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    joined |= {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*VOTES, *PROOFS)
        if all(getattr(part, name) is not None for part in parts)
    }
    kept = _first_of_each(joined)
    merged = {name: column[kept] for name, column in joined.items()}
    return CertificationLog(**merged, provenance={**first, **_fingerprints(parts)})


def _without_fingerprints(log: CertificationLog) -> dict[str, Any]:
    """The configuration, without what each part says of its own images."""
    return {key: value for key, value in log.provenance.items() if key not in FINGERPRINTS}


def _fingerprints(parts: Sequence[CertificationLog]) -> dict[str, Any]:
    """What names the images of all parts; nothing where that does not follow from theirs."""
    if all(np.array_equal(part.idx, parts[0].idx) for part in parts):
        first, *others = (
            {key: part.provenance[key] for key in FINGERPRINTS if key in part.provenance}
            for part in parts
        )
        if any(other != first for other in others):
            raise RecordError(
                "expected one image at each idx, got shards of other images, or of another index "
                "of their noise; merge each run by itself"
            )
        return first
    everywhere = np.concatenate([part.idx for part in parts])
    if len(np.unique(everywhere)) < len(everywhere):
        return {}
    return joined([part.provenance for part in parts])


def _first_of_each(joined: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The rows to keep, one per idx; RecordError if a repeated idx has another certificate."""
    _, first, inverse = np.unique(joined["idx"], return_index=True, return_inverse=True)
    for name, column in joined.items():
        if name == "time":
            continue
        unequal = column != column[first][inverse]
        rows = np.flatnonzero(unequal if unequal.ndim == 1 else unequal.any(axis=1))
        if len(rows):
            raise RecordError(
                f"expected one certificate per image, but {name} differs between shards at "
                f"{some_of(joined['idx'][rows])}; the shards are not of one run"
            )
    return first


def cut(log: CertificationLog, idx: IntArray) -> CertificationLog:
    """The certificates of some of a log's images, as if only these had been certified.

        cut(read_log("sigma_0.25"), np.arange(0, 10_000, 20))

    idx: (M,) distinct ones of the log. The fingerprint of all its images is left out of the
    provenance. RecordError for an idx that the log lacks.
    """
    missing = np.setdiff1d(idx, check_log(log).idx)
    if len(missing):
        raise RecordError(f"expected images of the log, got {some_of(missing)}, which it lacks")
    kept = np.isin(log.idx, idx)
    columns = {
        name: getattr(log, name)[kept]
        for name in (*COLUMNS, *VOTES, *PROOFS)
        if getattr(log, name) is not None
    }
    own = _without_fingerprints(log)
    data = own.get("dataset")
    about = {"fingerprint", "index", "images"}
    known = {k: v for k, v in data.items() if k not in about} if isinstance(data, dict) else data
    return CertificationLog(
        **columns, provenance=own if data is None else {**own, "dataset": known}
    )
