"""Runs read from their files, by name, with those that have nothing to show."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from rsmooth.plumbing.errors import EmptyRecordError, RecordError
from rsmooth.plumbing.exits import in_one_line
from rsmooth.plumbing.paths import user_path
from rsmooth.records.audits import of_another
from rsmooth.records.files import audit_of, read_log
from rsmooth.records.log import CertificationLog, FloatArray
from rsmooth.report.collecting import LeftOut
from rsmooth.report.runs import Run
from rsmooth.report.training_time import TrainingTime, recorded_training_time

logger = logging.getLogger(__name__)


def load_runs(
    paths: Sequence[str | Path],
    names: Sequence[str] | None = None,
    training: Sequence[TrainingTime | None] | None = None,
    unit: str | None = None,
) -> list[Run]:
    """Runs from run folders, journals and published tables.

        load_runs(["runs/smoothadv", "sigma_0.25"], names=["ours", "Cohen"])

    names: one per run. The default is the shortest path endings that differ.
    training: one per run. None, for all or for one, reads it from the run folder.
    unit: of the radii in tables that do not say it, as in ``read_log``.

    FileNotFoundError and RecordError as of ``read_log``. ValueError for names that repeat, for
    another number of names or times than paths, and for one path given twice without names.
    TypeError for a single path, and for logs that are not files.
    """
    read = read_runs(paths, names, training, unit)
    if read.fault is not None:
        raise read.fault
    return list(read.runs)


@dataclass(frozen=True, eq=False)
class ReadRuns:
    """Runs, the path of each, and what there is nothing to show of.

        read_runs([Path("runs/a"), Path("runs/begun")]).left_out[0].reason

    fault: the first error of what was left out; None where all is there.
    """

    runs: tuple[Run, ...]
    paths: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    fault: Exception | None


def read_runs(
    paths: Sequence[str | Path],
    names: Sequence[str] | None = None,
    training: Sequence[TrainingTime | None] | None = None,
    unit: str | None = None,
    tolerant: Collection[Path] = (),
) -> ReadRuns:
    """The runs that have certificates, of those that ``load_runs`` would read.

        read_runs([Path("runs/a"), Path("runs/begun")]).runs

    A run that has no certified image yet is left out, by name. So is any of ``tolerant`` that
    cannot be read. Other errors are those of ``load_runs``, and the first one where no run is left.
    """
    files, forgiven = _files(paths), {user_path(path) for path in tolerant}
    for what, given in (("names", names), ("training times", training)):
        if given is not None and len(given) != len(files):
            raise ValueError(f"expected {len(files)} {what}, one per run, got {len(given)}")
    if names is not None and len(set(names)) < len(names):
        raise ValueError(f"expected names that differ, got {', '.join(names)}")
    times = training or [None] * len(files)
    called = names or distinct_names(files)
    tried = [
        (name, file, _tried(name, file, time, unit, file in forgiven))
        for name, file, time in zip(called, files, times, strict=True)
    ]
    shown = [(found, file) for _, file, found in tried if isinstance(found, Run)]
    faults = [(name, found) for name, _, found in tried if not isinstance(found, Run)]
    if not shown:
        raise faults[0][1]
    return ReadRuns(
        tuple(run for run, _ in shown),
        tuple(file for _, file in shown),
        tuple(LeftOut(name, _why(error)) for name, error in faults),
        faults[0][1] if faults else None,
    )


def _tried(
    name: str, file: Path, time: TrainingTime | None, unit: str | None, tolerant: bool
) -> Run | Exception:
    """A run, or why there is none to show."""
    try:
        return _load(name, file, time, unit)
    except EmptyRecordError as error:
        return error
    except (RecordError, OSError) as error:
        if not tolerant:
            raise
        return error


def _why(error: Exception) -> str:
    """Why a run is not in the tables, as the caveats of a report say it."""
    if isinstance(error, EmptyRecordError):
        whole = f" of {error.asked:,}" if error.asked else ""
        return f"unfinished, 0{whole} images are there."
    return f"left out, since it cannot be read: {in_one_line(error)}."


def _files(paths: Iterable[object]) -> list[Path]:
    """The paths of runs; ValueError for none, TypeError for one in no list and for what is none."""
    if isinstance(paths, (str, PathLike)):  # the letters of a name would be taken for paths
        raise TypeError(f"expected a list of runs, got {str(paths)!r}; write [{str(paths)!r}]")
    files: list[Path] = []
    for path in paths or ():
        if not isinstance(path, (str, PathLike)):
            raise TypeError(
                f"expected runs as paths, got {type(path).__name__}; write a log to a file with "
                "rsmooth.records.write_log, and name that"
            )
        files.append(user_path(path))
    if not files:
        raise ValueError("expected at least one run folder or log, got none")
    return files


def _load(name: str, file: Path, time: TrainingTime | None, unit: str | None) -> Run:
    log = read_log(file, unit=unit)
    return Run(name, log, time or recorded_training_time(file), _attacked(audit_of(file), log))


def _attacked(path: Path, log: CertificationLog) -> FloatArray | None:
    """What ``rsmooth audit`` found of deterministic certificates, for all images of the log."""
    if not path.is_file():
        return None
    proved = log.statement.kind == "deterministic"
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
        found = dict(zip(content["idx"], content["attacked"], strict=True)) if proved else {}
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"expected {'idx and attacked' if proved else 'an audit'} in {path}, got "
            f"{type(error).__name__}: {error}; write it anew with rsmooth audit"
        ) from None
    if of_another(content, log):
        logger.warning(
            "%s is of another record than the certificates beside it, and left out; run rsmooth "
            "audit again",
            path,
        )
        return None
    if not proved or not set(log.idx.tolist()) <= set(found):
        return None
    attacked = (found[idx] for idx in log.idx.tolist())
    return np.array([np.inf if value is None else float(value) for value in attacked])


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest path endings that differ.

        distinct_names([Path("a/x/certificates.tsv"), Path("b/x")])      # ["a/x", "b/x"]

    File names that every run folder has are left out where they do not help. ValueError for the
    same path twice: two rows would compare it with itself.
    """
    parts = [_meaningful_parts(path) for path in paths]
    if len(set(parts)) < len(parts):  # a run folder and a file in it, say
        parts = [path.resolve().parts for path in paths]
    repeated = [path for at, path in enumerate(paths) if parts[at] in parts[:at]]
    if repeated:
        raise ValueError(f"expected every run once, got {repeated[0]} twice; leave one out")
    depth = 1
    while len({tuple(part[-depth:]) for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _meaningful_parts(path: Path) -> tuple[str, ...]:
    parts = path.resolve().parts
    inside_run_folder = parts[-1].startswith("certificates.") and len(parts) > 2
    last = parts[-2] if inside_run_folder else parts[-1].removesuffix(".tsv").removesuffix(".jsonl")
    return (*parts[1 : -2 if inside_run_folder else -1], last)
