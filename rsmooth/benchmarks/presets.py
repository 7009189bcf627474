"""Presets: lists of arms as YAML data.

    load_preset("digits").arms[0].train["trainer"]

Each arm has the options of ``rsmooth train`` and of ``rsmooth certify``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.place import FILES
from rsmooth.benchmarks.preset_files import VERBS, read_preset
from rsmooth.plumbing.paths import user_path
from rsmooth.report.training_time import MADE_FROM

FOLDER = FILES / "presets"
# The options that name trained models, one or a list of them.
_MODELS = (*MADE_FROM, "source", "ensemble")
# Of certification, what an audit has to know, too: by which networks, and of which images.
_CERTIFIED = ("source", "ensemble", "rule", "dataset", "split")


@dataclass(frozen=True)
class Arm:
    """One configuration of a comparison: its name, and the options of the verbs that run it.

    In place of a model an option may name ``{arm: NAME}``, the model of another arm: ``init_from``,
    ``teacher``, also that of a trainer, and ``earlier`` of training, ``source`` and ``ensemble`` of
    certification.
    train: None for an arm that only certifies models of others. certify: None for one that is
    trained only for others; it has no row in a report. audit: None for no audit.
    """

    name: str
    train: dict[str, Any] | None
    certify: dict[str, Any] | None
    audit: dict[str, Any] | None = None

    @property
    def needs(self) -> list[str]:
        """The arms whose models this one needs; they must be finished before it starts."""
        places = [self.train or {}, self._trainer, self.certify or {}]
        named = [place[key] for place in places for key in _MODELS if key in place]
        models = [
            model for value in named for model in (value if isinstance(value, list) else [value])
        ]
        return [_named(model) for model in models if isinstance(model, Mapping)]

    def train_options(self, runs: Path) -> dict[str, Any]:
        """The options of training, with the folders below ``runs`` in place of arms."""
        options = _with_folders(self.train or {}, runs)
        if any(isinstance(self._trainer.get(key), Mapping) for key in _MODELS):
            # Of the trainer, such a model is a text as on the command line.
            chosen = _with_folders(self._trainer, runs)
            options["trainer"] = {k: str(v) if k in _MODELS else v for k, v in chosen.items()}
        return options

    def certify_options(self, runs: Path) -> dict[str, Any]:
        """The options of certification; its journal is in the arm's own folder, as is its source.

        Unless they name another source, or a model that brings its weights.
        """
        options = _with_folders(self.certify or {}, runs)
        own = runs / self.name
        if {"source", "model", "checkpoint"} & set(options):
            return {**options, "out": own / "certificates.jsonl"}
        return {**options, "source": own}

    def audit_options(self, runs: Path) -> dict[str, Any]:
        """The options of the audit: of the arm's own certificates, by the models that made them."""
        own = runs / self.name
        of = {key: value for key, value in (self.certify or {}).items() if key in _CERTIFIED}
        log = {"log": own} if "source" in of else {}
        return {"source": own, **_with_folders(of, runs), **log, **(self.audit or {})}

    def of_seed(self, seed: int) -> Arm:
        """The arm trained from this seed, as are those that it needs; its name ends in it."""
        name, certify = seeded(self.name, seed), self.certify and _of_seed(self.certify, seed)
        if self.train is None:
            return Arm(name, None, certify, self.audit)
        train = {**_of_seed(self.train, seed), "seed": seed}
        if self._trainer:
            train["trainer"] = _of_seed(self._trainer, seed)
        return Arm(name, train, certify, self.audit)

    @property
    def _trainer(self) -> Mapping[str, Any]:
        trainer = (self.train or {}).get("trainer")
        return trainer if isinstance(trainer, Mapping) else {}

    def as_dict(self) -> dict[str, Any]:
        """The options as the runner writes them, and compares them on a resume."""
        audit = {} if self.audit is None else {"audit": self.audit}
        return {"train": self.train, "certify": self.certify, **audit}


def _with_folders(options: Mapping[str, Any], runs: Path) -> dict[str, Any]:
    found = dict(options)
    for key in _MODELS:
        value = found.get(key)
        if isinstance(value, (list, tuple)):
            found[key] = [_folder(model, runs) for model in value]
        elif value is not None:
            found[key] = _folder(value, runs)
    return found


def _folder(model: Any, runs: Path) -> Any:
    return runs / _named(model) if isinstance(model, Mapping) else model


def _named(model: Mapping[str, Any]) -> str:
    """The arm whose model an option names."""
    if set(model) != {"arm"} or not isinstance(model["arm"], str):
        raise ValueError(
            f"expected a model as a path or as {{arm: NAME}}, got {dict(model)!r}; correct the "
            "preset"
        )
    return str(model["arm"])


@dataclass(frozen=True)
class Preset:
    """Arms that belong together; one that needs another comes after it.

    report: options of ``report_runs``: ``radii``, ``linf`` and ``reference``. threads: of the
    process of each arm; None: those of torch. jobs: arms at a time. ablate_from: the arm that an
    ablation varies. data: the environment variable with the path of the data, if it needs one.
    listed: the names of all its arms, of which ``arms`` may be some; empty for those of ``arms``.
    """

    name: str
    title: str
    arms: tuple[Arm, ...]
    report: dict[str, Any]
    jobs: int = 1
    threads: int | None = None
    ablate_from: str | None = None
    data: str | None = None
    listed: tuple[str, ...] = ()


# What ``seeded`` makes.
SEEDED = re.compile(r"(?P<method>.+)-seed(?P<seed>\d+)")


def seeded(name: str, seed: int) -> str:
    """The name of an arm that is trained from a seed.

    seeded("macer", 2)  # "macer-seed2"
    """
    return f"{name}-seed{seed}"


def _of_seed(options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Options in which the models of other arms are those of this seed."""

    def found(value: Any) -> Any:
        if isinstance(value, list):
            return [found(each) for each in value]
        return {"arm": seeded(_named(value), seed)} if isinstance(value, Mapping) else value

    return {key: found(value) if key in _MODELS else value for key, value in options.items()}


def preset_names() -> list[str]:
    """The names of the shipped presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_preset(
    name: str,
    *,
    tiny: bool = False,
    changes: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
) -> Preset:
    """A shipped preset, or one from a YAML file; ``tiny`` takes sizes that run in seconds.

        load_preset("digits", changes={"train": {"device": "cpu"}}, seeds=[1, 2])

    changes: options {"train": {...}, "certify": {...}} for every arm that has the verb; also
    "audit". seeds: train every arm from each of these, in place of what the preset says; the arms
    are then called ARM-seed1 and so on. ValueError for an unknown preset, an unknown key, a
    negative or repeated seed, or an arm that needs one which does not come before it.
    """
    path, content = _read(name)
    given = content.get("seeds") if seeds is None else list(seeds)
    arms = _arms(content, content.get("tiny", {}) if tiny else {}, changes or {})
    if given is not None:  # seed by seed, so that a drift of the machine meets all methods alike
        _check_seeds(given)
        arms = [arm.of_seed(seed) for seed in given for arm in arms]
    return Preset(
        path.stem,
        content["title"],
        tuple(arms),
        content.get("report", {}),
        content.get("jobs", 1),
        content.get("threads"),
        content.get("ablate_from"),
        content.get("data"),
        tuple(arm.name for arm in arms),
    )


def _read(name: str) -> tuple[Path, dict[str, Any]]:
    """Place and content of a preset; ValueError for one that is not there, or for unknown keys."""
    path = user_path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise ValueError(
            f"expected a preset, got {name!r}; known: {', '.join(preset_names())}, or a .yaml file"
        )
    return path, read_preset(path)


def _arms(
    content: Mapping[str, Any], sizes: Mapping[str, Any], changes: Mapping[str, Any]
) -> list[Arm]:
    """The arms of a preset: its defaults, changed by each, by these sizes and by what is asked."""
    defaults = merge({"train": {}, "certify": {}, "audit": None}, content.get("defaults", {}))
    arms: list[Arm] = []
    for name, change in content["arms"].items():
        options = merge(defaults, change or {})
        for further in (sizes, (sizes.get("arms") or {}).get(name) or {}, changes):
            # An arm that leaves a verb out goes on to do so.
            wanted = [verb for verb in VERBS if verb in further and options[verb] is not None]
            options = merge(options, {verb: further[verb] for verb in wanted})
        arms.append(Arm(name, options["train"], options["certify"], options["audit"]))
        _check_needs(arms[-1], [arm.name for arm in arms[:-1]])
    return arms


def select_arms(preset: Preset, names: list[str] | None) -> Preset:
    """The preset with only the named arms, or all for None; ValueError for unknown ones.

        select_arms(load_preset("defences-digits"), ["macer", "gaussian-seed1"])

    The name of an arm that is trained from several seeds stands for all of these.
    """
    if names is None:
        return preset
    known: dict[str, list[Arm]] = {}
    for arm in preset.arms:
        of_seed = SEEDED.fullmatch(arm.name)
        for name in {arm.name, of_seed["method"] if of_seed else arm.name}:
            known.setdefault(name, []).append(arm)
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(
            f"expected arms of {preset.name}, got {', '.join(missing)}; it has "
            f"{', '.join(arm.name for arm in preset.arms)}"
        )
    chosen = {arm.name: arm for name in names for arm in known[name]}
    return with_arms(preset, list(chosen.values()))


def _check_seeds(seeds: Any) -> None:
    """ValueError for what is no list of different seeds."""
    plain = isinstance(seeds, list) and all(type(seed) is int and seed >= 0 for seed in seeds)
    if not plain or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"expected different seeds, integers from 0, got {seeds!r}; e.g. 0 1 2")


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` changed by ``change``, mapping by mapping; a null replaces the old value."""
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
            f"elsewhere (above it: {', '.join(above) or 'none'}); change the order"
        )


def with_arms(preset: Preset, arms: list[Arm]) -> Preset:
    """The preset with these arms in place of its own."""
    return replace(preset, arms=tuple(arms))
