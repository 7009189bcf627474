"""Methods that were trained from several seeds: means, spread, paired intervals, and the cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.presets import SEEDED
from rsmooth.records.figures import asked_radii
from rsmooth.records.files import read_log
from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import average_certified_radius, certified_accuracy
from rsmooth.records.seeds import compare_seeds
from rsmooth.report.runs import Run
from rsmooth.report.tables import md_row, md_rule
from rsmooth.report.training_time import trainer_options


def across_seeds(folders: Sequence[Path], radii: Sequence[float]) -> str:
    """The section on methods over seeds, from arms named METHOD-seedNUMBER; empty without several.

        across_seeds([Path("runs/defences-digits/macer-seed0"), ...], radii=[0.25, 0.5])

    An arm named METHOD counts with the seed of its training. Differences are to the first method,
    by the seeds that both have.
    """
    methods = _methods(folders)
    complete = {name: runs for name, runs in methods.items() if len(runs) > 1}
    if len(complete) < 2:
        return ""
    logs = {
        name: {seed: read_log(path) for seed, path in runs.items()}
        for name, runs in complete.items()
    }
    first = next(iter(complete))
    columns = ["method", "seeds", "clean", *(f"r={radius:g}" for radius in radii), "ACR"]
    columns += [f"ACR minus {first}", "95 % interval", "steps", "training", "teacher"]
    lines = [md_row(*columns), md_rule(len(columns))]
    for name, of_seed in logs.items():
        cells = _accuracies(list(of_seed.values()), radii)
        cells += _difference(logs[first], of_seed) if name != first else ["", ""]
        lines.append(md_row(name, str(len(of_seed)), *cells, *_cost(complete, name)))
    return "\n".join(
        [
            "## Over several seeds",
            "",
            *lines,
            "",
            "Accuracies in %, means over the seeds; ACR: mean ± standard deviation over the seeds. "
            "Differences and intervals are paired by seed and image and cover both. steps: of the "
            "optimiser, per training. training: processor seconds with start-up, and with a "
            "teacher's votes where it has one. teacher: processor seconds of that one's training, "
            "which come on top.",
            "",
        ]
    )


def _methods(folders: Sequence[Path]) -> dict[str, dict[int, Path]]:
    """The folders of each method by seed, in the order in which they come."""
    found: dict[str, dict[int, Path]] = {}
    for folder in folders:
        match = SEEDED.fullmatch(folder.name)
        method, seed = (match["method"], int(match["seed"])) if match else (folder.name, None)
        of_seed = found.setdefault(method, {})
        of_seed.setdefault(_seed(folder) if seed is None else seed, folder)
    return found


def _seed(folder: Path) -> int:
    """The seed that an arm was trained from, which its name does not say."""
    return int((_summary(folder).get("train") or {}).get("seed", 0))


def _accuracies(logs: Sequence[CertificationLog], radii: Sequence[float]) -> list[str]:
    """Means where all runs decided; the ACR of others is a lower bound."""
    runs = [Run("", log) for log in logs]
    points = np.mean([certified_accuracy(log, [0.0, *radii]) for log in logs], axis=0)
    known = [all(run.decided(radius) for run in runs) for radius in (0.0, *radii)]
    averages = [average_certified_radius(log) for log in logs]
    spread = f"{bound_mark(logs)}{np.mean(averages):.3f} ± {np.std(averages, ddof=1):.3f}"
    return [*(f"{100 * p:.1f}" if k else "-" for p, k in zip(points, known, strict=True)), spread]


def bound_mark(logs: Iterable[CertificationLog]) -> str:
    """What stands before the ACR of logs: "≥ " where it is a lower bound, else nothing.

        bound_mark([read_log("runs/grid")])     # "≥ "

    Modes radius and grid decide some radii alone.
    """
    return "" if all(asked_radii(log) is None for log in logs) else "≥ "


def _difference(
    first: Mapping[int, CertificationLog], second: Mapping[int, CertificationLog]
) -> list[str]:
    shared = sorted(set(first) & set(second))
    both = [log for seed in shared for log in (first[seed], second[seed])]
    if len(shared) < 2 or bound_mark(both):
        return ["", ""]
    found = compare_seeds([first[seed] for seed in shared], [second[seed] for seed in shared])
    low, high = found.interval
    return [f"{found.difference:+.3f}", f"{low:+.3f} to {high:+.3f}"]


def _cost(methods: Mapping[str, Mapping[int, Path]], name: str) -> list[str]:
    """Steps and seconds of a training, and those of its teacher; empty where nobody noted them."""
    folders = list(methods[name].values())
    summaries = [_summary(folder) for folder in folders]
    seconds = [_training_seconds(summary) for summary in summaries]
    taught = [_teacher_seconds(*pair) for pair in zip(folders, summaries, strict=True)]
    return [
        _mean(map(_steps, folders), ".0f"),
        _mean(seconds, ".1f", " s"),
        _mean(taught, ".1f", " s"),
    ]


def _mean(found: Iterable[float | None], form: str, unit: str = "") -> str:
    """The mean in this form; empty where one of the numbers is not known."""
    numbers = list(found)
    known = [number for number in numbers if number is not None]
    return f"{np.mean(known):{form}}{unit}" if len(known) == len(numbers) else ""


def _training_seconds(summary: Mapping[str, Any]) -> float | None:
    """Processor seconds of an arm's own training; None where there was none, or nobody noted it."""
    seconds: float | None = summary.get("seconds", {}).get("train", {}).get("cpu")
    return seconds


def _teacher_seconds(folder: Path, summary: Mapping[str, Any]) -> float | None:
    """The same of the arm that a trainer's teacher is from; None without such an arm."""
    teacher = trainer_options(summary.get("train") or {}).get("teacher")
    arm = teacher.get("arm") if isinstance(teacher, Mapping) else None
    return None if arm is None else _training_seconds(_summary(folder.parent / arm))


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _steps(folder: Path) -> int | None:
    """The optimiser's steps; None where no metrics beside the record say them."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return None
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sum(int(row["steps"]) for row in rows) if all("steps" in row for row in rows) else None
