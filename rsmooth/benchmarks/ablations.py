"""Ablations: presets that vary one thing about one arm of another preset."""

from __future__ import annotations

import re
from typing import Any

from rsmooth.benchmarks.place import FILES
from rsmooth.benchmarks.preset_files import check_arms
from rsmooth.benchmarks.presets import Arm, Preset, merge, with_arms
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.yaml_text import load_yaml, read_mapping

ABLATIONS = FILES / "ablations.yaml"
# Attacks whose names say what they attack, and what they climb.
SMOOTHED = re.compile(r"(?P<objective>smoothadv|naive)-(?P<attack>pgd|ddn)")


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
        options = merge(_spelt_out(base), change or {})
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


def _spelt_out(base: Arm) -> dict[str, Any]:
    """The options of an arm, with target and objective of its attack as options of their own.

    So smoothadv-pgd, which has them in its name, can vary in each.
    """
    options = base.as_dict()
    attack = (options["train"] or {}).get("attack")
    given = {"name": attack} if isinstance(attack, str) else dict(attack or {})
    named = SMOOTHED.fullmatch(str(given.get("name")))
    if named is None:
        return options
    spelt = {
        **given,
        "name": named["attack"],
        "target": "smoothed",
        "objective": named["objective"],
    }
    return {**options, "train": {**options["train"], "attack": spelt}}


def _ablation(what: str) -> tuple[str, dict[str, Any]]:
    """Name and content of a shipped ablation or of a YAML file."""
    if not what.endswith((".yaml", ".yml")):
        shipped = load_yaml(ABLATIONS.read_text(encoding="utf-8"))
        if what not in shipped:
            raise ValueError(
                f"expected an ablation, got {what!r}; known: {', '.join(shipped)}, or a .yaml file"
            )
        return what, shipped[what]
    path = user_path(what)
    if not path.exists():
        raise ValueError(f"expected an ablation, got {what!r}, which is not there; name a file")
    content = read_mapping(path, "correct the file")
    if set(content) != {"title", "arms"}:
        raise ValueError(
            f"expected an ablation with title and arms in {path}, got "
            f"{', '.join(map(str, content)) or 'none'}; e.g. title: Epochs, "
            "arms: {e1: {train: {trainer: {epochs: 1}}}}"
        )
    check_arms(content["arms"], path, ("train", "certify"))
    return path.stem, content
