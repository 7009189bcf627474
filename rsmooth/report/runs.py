"""What a report compares: logs with a name and, for our own run folders, what they cost."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsmooth.certify.proof.bounds import max_radius
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log
from rsmooth.records.log import CertificationLog


@dataclass(frozen=True)
class TrainingTime:
    """Seconds of training, start-up included: real ones, and the processor's where they are known.

    by_cpu: whether the run was given a budget of CPU time, so that its CPU seconds are what to
    compare.
    """

    wall: float
    cpu: float | None = None
    by_cpu: bool = False


@dataclass(frozen=True)
class Run:
    """A certified model under the name that tables and plots give it; ``training`` is None where
    unknown.
    """

    name: str
    log: CertificationLog
    training: TrainingTime | None = None

    def setting(self, key: str) -> Any:
        """An entry of the log's provenance, None where unknown (published tables hold none)."""
        return self.log.provenance.get(key)

    @property
    def certify_seconds(self) -> float:
        """Seconds spent on certification, summed over the images."""
        return float(self.log.time.sum())

    @property
    def largest_radius(self) -> float:
        """What unanimous votes certify; the largest radius in the log where its configuration is
        unknown.
        """
        sigma, n, alpha = (self.setting(key) for key in ("sigma", "n", "alpha"))
        if None in (sigma, n, alpha):
            return float(self.log.radius.max())
        return max_radius(float(sigma), int(n), float(alpha))


def load_runs(paths: Sequence[str | Path], names: Sequence[str] | None = None) -> list[Run]:
    """Runs from run folders, journals and published tables; ``names`` default to what tells the
    paths apart.

    Raises FileNotFoundError and RecordError as ``read_log``, and ValueError for names that repeat
    or are not as many, and for one path given twice without names.
    """
    if not paths:
        raise ValueError("expected at least one run folder or log, got none")
    if names is not None and len(names) != len(paths):
        raise ValueError(f"expected {len(paths)} names, one a run, got {len(names)}")
    if names is not None and len(set(names)) < len(names):
        raise ValueError(f"expected names that differ, got {', '.join(names)}")
    files = [Path(path) for path in paths]
    return [
        Run(name, read_log(file), _training_time(file))
        for name, file in zip(names or distinct_names(files), files, strict=True)
    ]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest path endings that differ, without the file names that every run folder has where
    they do not help.

    ValueError for the same path twice: as two rows it would be compared with itself.
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


def default_radii(runs: Sequence[Run]) -> list[float]:
    """Radii for a table, up to the largest at which any run is right.

    They step by 0.25, as the field's tables do, unless that gives next to none or more than ten of
    them.
    """
    reach = max(float(run.log.radius[run.log.correct].max(initial=0.0)) for run in runs)
    step = 0.05 if reach < 0.2 else 0.1 if reach < 0.5 else 0.25
    while reach / step > 10:
        step *= 2
    return [round(step * k, 10) for k in range(1, math.floor(reach / step) + 1)]


def _meaningful_parts(path: Path) -> tuple[str, ...]:
    parts = path.resolve().parts
    inside_run_folder = parts[-1].startswith("certificates.") and len(parts) > 2
    last = parts[-2] if inside_run_folder else parts[-1].removesuffix(".tsv").removesuffix(".jsonl")
    return (*parts[1 : -2 if inside_run_folder else -1], last)


def _training_time(path: Path) -> TrainingTime | None:
    """The time of training, from the summary of the run folder."""
    summary = path / "summary.json"
    if not summary.is_file():
        return None
    try:
        content = json.loads(summary.read_text(encoding="utf-8"))
        wall, cpu = content["seconds"]["train"]["wall"], content["seconds"]["train"].get("cpu")
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"expected seconds.train.wall in {summary}, got {type(error).__name__}: {error}"
        ) from None
    if not np.isfinite(wall):
        return None
    return TrainingTime(
        float(wall),
        None if cpu is None else float(cpu),
        cpu is not None and _budget_is_cpu(content),
    )


def _budget_is_cpu(summary: dict[str, Any]) -> bool:
    """Whether a run was trained for so many CPU seconds, which is what a budget counts unless it
    says otherwise.
    """
    trainer = summary.get("train", {}).get("trainer")
    if not isinstance(trainer, dict) or trainer.get("budget_seconds") is None:
        return False
    return bool(trainer.get("budget_clock", "process") == "process")
