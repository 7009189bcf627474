"""Ablations: presets that vary one thing about one arm of another preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsmooth.benchmarks.place import FILES
from rsmooth.benchmarks.presets import Arm, Preset, merge, with_arms
from rsmooth.plumbing.yaml_text import load_yaml

ABLATIONS = FILES / "ablations.yaml"


def ablation_names() -> list[str]:
    """The names of the shipped ablations."""
    return list(load_yaml(ABLATIONS.read_text(encoding="utf-8")))


def ablation(preset: Preset, what: str) -> Preset:
    """A preset that varies one thing about the arm ``ablate_from`` of another preset.

        ablation(load_preset("digits"), "order")

    what: a shipped ablation, or a YAML file with ``title`` and ``arms``; each arm has the options
    in which it differs. ValueError for an unknown ablation, or a preset that names no arm to vary.
    """
    name, content = _ablation(what)
    base = next((arm for arm in preset.arms if arm.name == preset.ablate_from), None)
    if base is None:
        raise ValueError(
            f"expected a preset that names the arm to vary, got {preset.name}; add ablate_from: ARM"
        )
    arms = []
    for arm, change in content["arms"].items():
        options = merge(base.as_dict(), change or {})
        arms.append(Arm(arm, options["train"], options["certify"]))
    title = f"{content['title']} ({preset.name})"
    return with_arms(
        Preset(
            f"{preset.name}-{name}",
            title,
            (),
            preset.report,
            preset.jobs,
            preset.threads,
            None,
            preset.data,
        ),
        arms,
    )


def _ablation(what: str) -> tuple[str, dict[str, Any]]:
    """Name and content of a shipped ablation or of a YAML file."""
    if not what.endswith((".yaml", ".yml")):
        shipped = load_yaml(ABLATIONS.read_text(encoding="utf-8"))
        if what not in shipped:
            raise ValueError(
                f"expected an ablation, got {what!r}; known: {', '.join(shipped)}, or a .yaml file"
            )
        return what, shipped[what]
    path = Path(what)
    if not path.exists():
        raise ValueError(f"expected an ablation, got {what!r}, which is not there; name a file")
    content = load_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or set(content) != {"title", "arms"} or not content["arms"]:
        found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"expected an ablation with title and arms in {path}, got {found}; e.g. title: Epochs, "
            "arms: {e1: {train: {trainer: {epochs: 1}}}}"
        )
    for arm, change in content["arms"].items():
        if change is not None and not (
            isinstance(change, dict) and set(change) <= {"train", "certify"}
        ):
            raise ValueError(
                f"expected the options of train and certify of arm {arm} in {path}, got {change!r}"
            )
    return path.stem, content
