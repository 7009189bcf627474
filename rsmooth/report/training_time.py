"""How long a model took to train, from its run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rsmooth.plumbing.errors import RecordError

# The options of training, and of a trainer, that name trained models.
MADE_FROM = ("init_from", "teacher", "earlier")
# The options of a model that bring weights.
_WEIGHTS = ("weights", "checkpoint", "pretrained")


@dataclass(frozen=True)
class TrainingTime:
    """Seconds of training.

        TrainingTime(wall=1131.7, cpu=368.4)

    wall, cpu: real and processor seconds, each None where it is not known.
    by_cpu: whether its CPU seconds are the ones to compare: those of a budget of CPU time, or of
        the only clock that the run had.
    partial: whether it is without the training of other models that this one was made from, or
        whose weights it began with.
    """

    wall: float | None = None
    cpu: float | None = None
    by_cpu: bool = False
    partial: bool = False


def recorded_training_time(folder: Path) -> TrainingTime | None:
    """The seconds of training in a run folder, by the clock that its configuration names.

        recorded_training_time(Path("runs/smoothadv"))

    None where the folder lacks metrics or configuration. RecordError where they are damaged.
    """
    metrics, config = folder / "metrics.jsonl", folder / "config.yaml"
    if not (metrics.is_file() and config.is_file()):
        return None
    lines = metrics.read_bytes().splitlines()
    if not lines:
        return None
    try:
        seconds = float(json.loads(lines[-1])["seconds"])
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"expected seconds in the last line of {metrics}, got {type(error).__name__}: {error}"
        ) from None
    said = _configuration(config)
    partial = made_from_others(said)
    if trainer_options(said).get("budget_clock", "process") == "process":
        return TrainingTime(cpu=seconds, by_cpu=True, partial=partial)
    return TrainingTime(wall=seconds, partial=partial)


def trainer_options(training: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the trainer in those of a training; none where it is only named.

    trainer_options({"trainer": {"name": "cat-rs", "teacher": "runs/gaussian"}})
    """
    trainer = training.get("trainer")
    return trainer if isinstance(trainer, dict) else {}


def made_from_others(training: Mapping[str, Any]) -> bool:
    """Whether options of a training name a trained model, or weights that somebody has trained.

        made_from_others({"model": {"name": "resnet50", "pretrained": True}})      # True

    Arms of a preset, ``{arm: NAME}``, do not count.
    """
    trainer = trainer_options(training)
    named = [place.get(key) for place in (training, trainer) for key in MADE_FROM]
    models = [one for value in named for one in (value if isinstance(value, list) else [value])]
    votes_alone = trainer.get("soft_label_file") and not trainer.get("teacher")
    return bool(
        any(model and not isinstance(model, Mapping) for model in models)
        or votes_alone
        or _has_weights(training.get("model"))
    )


def _has_weights(model: Any) -> bool:
    """Whether a model, or a part of it, comes with weights."""
    if not isinstance(model, Mapping):
        return False
    return any(model.get(key) for key in _WEIGHTS) or any(map(_has_weights, model.values()))


def _configuration(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecordError(f"expected YAML in {path}, got {type(error).__name__}: {error}") from None
    return config if isinstance(config, dict) else {}
