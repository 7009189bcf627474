"""How long the model of an arm took to train, with the models that it was made from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.presets import Arm
from rsmooth.report.training_time import TrainingTime, made_from_others, trainer_options


def training_time(folder: Path) -> TrainingTime | None:
    """The training time of an arm and of all arms whose models it needs, as the harness measured.

        training_time(Path("runs/cifar10-cpu-campaign/phases"))

    An arm needs the model that it starts from or certifies, and the one that teaches it. Start-up
    counts. The folders of these arms are beside its own. It is partial where one of them is
    missing, or where the arm was made from a model of no arm. None where nothing was trained.
    """
    summary, *others = _summaries(folder.resolve())
    if summary is None:
        return None
    known = [summary, *(other for other in others if other is not None)]
    times = [time for time in map(_seconds, known) if time is not None]
    if not times:
        return None
    processor = [cpu for _, cpu in times if cpu is not None]
    cpu = sum(processor) if len(processor) == len(times) else None
    return TrainingTime(
        sum(wall for wall, _ in times),
        cpu,
        by_cpu=cpu is not None and _by_cpu(summary),
        partial=None in others or any(made_from_others(one.get("train") or {}) for one in known),
    )


def _summaries(folder: Path) -> list[dict[str, Any] | None]:
    """Of an arm, and of each arm that its model was made from; None for one that is missing."""
    found = {folder.name: _summary(folder)}
    waiting = [folder.name]
    while waiting:
        summary = found[waiting.pop()] or {}
        for name in Arm("", summary.get("train"), summary.get("certify")).needs:
            if name not in found:
                found[name] = _summary(folder.parent / name)
                waiting.append(name)
    return list(found.values())


def _summary(folder: Path) -> dict[str, Any] | None:
    """What the harness noted of a finished arm; None where it has not, or not how long it took."""
    path = folder / SUMMARY
    if not path.is_file():
        return None
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        spent = _seconds(summary)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"expected seconds.train.wall in {path}, got {type(error).__name__}: {error}; run the "
            "arm again"
        ) from None
    return None if spent is not None and not math.isfinite(spent[0]) else summary


def _seconds(summary: Mapping[str, Any]) -> tuple[float, float | None] | None:
    """Wall-clock and processor seconds of an arm's own training; None where there was none."""
    if "train" not in summary["seconds"]:
        return None
    spent = summary["seconds"]["train"]
    cpu = spent.get("cpu")
    return float(spent["wall"]), None if cpu is None else float(cpu)


def _by_cpu(summary: Mapping[str, Any]) -> bool:
    """Whether CPU seconds are to be compared: on a CPU, or by the default clock of a budget.

    Real time is that of a GPU, or that a budget by the wall clock was about.
    """
    trainer = trainer_options(summary.get("train") or {})
    if trainer.get("budget_clock", "process") != "process":
        return False
    if trainer.get("budget_seconds") is not None:
        return True
    return (summary.get("provenance") or {}).get("gpu", "unknown") is None
