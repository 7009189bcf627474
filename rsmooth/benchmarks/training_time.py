"""How long the model of an arm took to train, with the models that it was made from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.presets import Arm
from rsmooth.report.training_time import MADE_FROM, TrainingTime


def training_time(folder: Path) -> TrainingTime | None:
    """The training time of an arm and of all arms whose models it needs, as the harness measured.

        training_time(Path("runs/cifar10-cpu-campaign/phases"))

    An arm needs the model that it starts from or certifies, and the one that teaches it. Start-up
    counts. The folders of these arms are beside its own. It is partial where one of them is
    missing, or where the arm was made from a model of no arm. None where nothing was trained.
    """
    summary = _summary(folder)
    if summary is None:
        return None
    others = [_summary(folder.parent / name) for name in sorted(_made_from(folder, summary))]
    known = [one for one in (summary, *others) if one is not None]
    times = [one for one in map(_seconds, known) if one is not None]
    times = [(wall, cpu) for wall, cpu in times if math.isfinite(wall)]
    if not times:
        return None
    processor = [cpu for _, cpu in times if cpu is not None]
    cpu = sum(processor) if len(processor) == len(times) else None
    return TrainingTime(
        sum(wall for wall, _ in times),
        cpu,
        by_cpu=cpu is not None and _by_cpu(summary),
        partial=None in others or any(map(_of_no_arm, known)),
    )


def _summary(folder: Path) -> dict[str, Any] | None:
    path = folder / SUMMARY
    if not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        _seconds(summary)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"expected seconds.train.wall in {path}, got {type(error).__name__}: {error}; run the "
            "arm again"
        ) from None
    return dict(summary)


def _seconds(summary: Mapping[str, Any]) -> tuple[float, float | None] | None:
    """Wall-clock and processor seconds of an arm's own training; None where there was none."""
    if "train" not in summary["seconds"]:
        return None
    spent = summary["seconds"]["train"]
    cpu = spent.get("cpu")
    return float(spent["wall"]), None if cpu is None else float(cpu)


def _made_from(folder: Path, summary: Mapping[str, Any]) -> set[str]:
    """The names of all arms that an arm needs, and that these need in turn."""
    found: set[str] = set()
    needed = _needs(summary)
    while needed:
        name = needed.pop()
        if name not in found:
            found.add(name)
            needed += _needs(_summary(folder.parent / name) or {})
    return found


def _needs(summary: Mapping[str, Any]) -> list[str]:
    return Arm("", summary.get("train"), summary.get("certify")).needs


def _trainer(summary: Mapping[str, Any]) -> dict[str, Any]:
    trainer = (summary.get("train") or {}).get("trainer")
    return trainer if isinstance(trainer, dict) else {}


def _of_no_arm(summary: Mapping[str, Any]) -> bool:
    """Whether an arm was made from a trained model that is given by its path."""
    places = (summary.get("train") or {}, _trainer(summary))
    named = [place[key] for place in places for key in MADE_FROM if place.get(key)]
    models = [one for value in named for one in (value if isinstance(value, list) else [value])]
    return not all(isinstance(model, Mapping) for model in models)


def _by_cpu(summary: Mapping[str, Any]) -> bool:
    """Whether CPU seconds are to be compared: on a CPU, or by the default clock of a budget.

    Real time is that of a GPU, or that a budget by the wall clock was about.
    """
    trainer = _trainer(summary)
    if trainer.get("budget_clock", "process") != "process":
        return False
    if trainer.get("budget_seconds") is not None:
        return True
    return (summary.get("provenance") or {}).get("gpu", "unknown") is None
