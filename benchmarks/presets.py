"""Presets: a list of arms as YAML data, each arm the options of ``rsmooth train`` and ``rsmooth
certify``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "presets"
ABLATIONS = Path(__file__).parent / "ablations.yaml"
_KEYS = {"title", "defaults", "arms", "tiny", "report", "jobs", "threads", "ablate_from", "data"}
_MODELS = ("init_from", "teacher")  # the options of training that name a trained model


@dataclass(frozen=True)
class Arm:
    """One run: its name, and the options of the two verbs that make it.

    train: init_from and teacher may be ``{arm: NAME}``, the model of another arm. certify: None for
    an arm that only trains, for others to build on; it has no row in a report.
    """

    name: str
    train: dict[str, Any]
    certify: dict[str, Any] | None

    @property
    def needs(self) -> list[str]:
        """The arms whose models this one trains with; they have to be finished before it starts."""
        models = [self.train.get(option) for option in _MODELS]
        return [model["arm"] for model in models if isinstance(model, Mapping)]

    def train_options(self, runs: Path) -> dict[str, Any]:
        """The options of training, with the arms that they name as their folders below ``runs``."""
        return {
            key: runs / value["arm"] if key in _MODELS and isinstance(value, Mapping) else value
            for key, value in self.train.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """What the runner writes beside the run, and compares on a resume."""
        return {"train": self.train, "certify": self.certify}


@dataclass(frozen=True)
class Preset:
    """Arms that belong together; one that needs another stands below it.

    report: ``radii``, ``linf`` radii and, where published numbers exist, ``reference``: as of
    ``report_runs``.
    threads: of each arm's process; None leaves them to torch. jobs: arms at a time.
    ablate_from: the arm that an ablation varies. data: the environment variable with the data's
    path, if it needs one.
    """

    name: str
    title: str
    arms: tuple[Arm, ...]
    report: dict[str, Any]
    jobs: int = 1
    threads: int | None = None
    ablate_from: str | None = None
    data: str | None = None


def preset_names() -> list[str]:
    """The presets that are shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_preset(
    name: str, *, tiny: bool = False, changes: Mapping[str, Any] | None = None
) -> Preset:
    """A shipped preset, or a YAML file of one's own; ``tiny`` puts sizes in that take seconds.

    changes: {"train": {...}, "certify": {...}} for every arm; as the tiny sizes they leave out a
    verb that the arm leaves out. ValueError for an unknown preset, an unknown key, or an arm that
    needs one which is not above it.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ValueError(
            f"expected a preset, got {name!r}; known: {', '.join(preset_names())}, or a .yaml file"
        )
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = sorted(set(content) - _KEYS)
    if unknown or "arms" not in content:
        raise ValueError(
            f"expected a preset with the keys {', '.join(sorted(_KEYS))}, got {path} with "
            f"{', '.join(unknown) or 'no arms'}"
        )
    defaults = merge({"train": {}, "certify": {}}, content.get("defaults", {}))
    sizes = content.get("tiny", {}) if tiny else {}
    arms: list[Arm] = []
    for name, change in content["arms"].items():
        options = merge(defaults, change or {})
        for further in (sizes, sizes.get("arms", {}).get(name) or {}, changes or {}):
            options = merge(
                options,
                {
                    verb: further[verb]
                    for verb in ("train", "certify")
                    if verb in further and options[verb] is not None
                },
            )
        arms.append(Arm(name, options["train"], options["certify"]))
        _check_needs(arms[-1], [arm.name for arm in arms[:-1]])
    return Preset(
        path.stem,
        content["title"],
        tuple(arms),
        content.get("report", {}),
        content.get("jobs", 1),
        content.get("threads"),
        content.get("ablate_from"),
        content.get("data"),
    )


def select_arms(preset: Preset, names: list[str] | None) -> Preset:
    """The preset with only the arms of these names; None means all. ValueError for others."""
    if names is None:
        return preset
    known = {arm.name: arm for arm in preset.arms}
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(
            f"expected arms of {preset.name}, got {', '.join(missing)}; it has {', '.join(known)}"
        )
    return _with_arms(preset, [known[name] for name in names])


def ablation_names() -> list[str]:
    """The ready-made ablations."""
    return list(yaml.safe_load(ABLATIONS.read_text(encoding="utf-8")))


def ablation(preset: Preset, what: str) -> Preset:
    """A preset that varies one thing about the arm ``ablate_from`` of another one.

    what: a shipped ablation, or a YAML file with ``title`` and ``arms``, each arm the options in
    which it differs. ValueError for an unknown ablation, or a preset that names no arm to vary.
    """
    name, content = _ablation(what)
    base = next((arm for arm in preset.arms if arm.name == preset.ablate_from), None)
    if base is None:
        raise ValueError(
            f"expected a preset that names the arm to vary (ablate_from), got {preset.name}"
        )
    arms = []
    for arm, change in content["arms"].items():
        options = merge(base.as_dict(), change or {})
        arms.append(Arm(arm, options["train"], options["certify"]))
    title = f"{content['title']} ({preset.name})"
    return _with_arms(
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
    """Name, and title and arms, of a shipped ablation or of a YAML file."""
    if not what.endswith((".yaml", ".yml")):
        shipped = yaml.safe_load(ABLATIONS.read_text(encoding="utf-8"))
        if what not in shipped:
            raise ValueError(
                f"expected an ablation, got {what!r}; known: {', '.join(shipped)}, or a .yaml file"
            )
        return what, shipped[what]
    path = Path(what)
    if not path.exists():
        raise ValueError(f"expected an ablation, got {what!r}, which is not there; name a file")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``change`` laid over it, mapping by mapping; a null replaces what was there."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        else:
            merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged


def _check_needs(arm: Arm, above: list[str]) -> None:
    missing = [name for name in arm.needs if name not in above]
    if missing:
        raise ValueError(
            f"expected the arms that {arm.name} needs above it, got {', '.join(missing)} "
            "elsewhere; "
            f"above it stand {', '.join(above) or 'none'}"
        )


def _with_arms(preset: Preset, arms: list[Arm]) -> Preset:
    return Preset(
        preset.name,
        preset.title,
        tuple(arms),
        preset.report,
        preset.jobs,
        preset.threads,
        preset.ablate_from,
        preset.data,
    )
