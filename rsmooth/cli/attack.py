"""``rsmooth attack``: the empirical accuracy of g under attack, over several epsilons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsmooth.cli.models import check_classes, output_file
from rsmooth.cli.options import DataOptions, ModelOptions, PredictionOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.config.images import image_shape
from rsmooth.config.parts import noise_config
from rsmooth.config.specs import Spec, accepts, checked_options, create, split_spec
from rsmooth.plumbing.files import replace_file
from rsmooth.registry import ATTACKS

if TYPE_CHECKING:
    from rsmooth.attacks.base import Attack
    from rsmooth.evaluate.attacked import UnderAttack

DEFAULT_ATTACK: Spec = {"name": "pgd"}
# For attacks that have such options.
DEFAULT_OPTIONS = {"steps": 20, "target": "smoothed", "objective": "smoothadv"}


@VERBS.register(
    "attack",
    positionals=("source",),
    instead={"attack.epsilon": "--epsilons", "attack.targeted": None},
)
def attack(
    *,
    model: ModelOptions,
    data: DataOptions,
    images: Sequence[int] | None = None,
    attack: Spec = DEFAULT_ATTACK,
    epsilons: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    num_noise: int = 16,
    prediction: PredictionOptions,
    seed: int = 0,
    batch_size: int = 32,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    out: Path | None = None,
    progress: bool = True,
) -> None:
    """Attack the smoothed classifier at several epsilons, and print its empirical accuracy.

    An abstention counts as wrong. The row of an epsilon is printed when it is done. It is marked
    where the attack found no gradient to follow: there it has measured nothing.

    Args:
        images: attack only the images with these indices
        attack: the attack and its options except epsilon (see rsmooth list attacks). Attacks that
            have such options take 20 steps on g, with the smoothadv objective
        epsilons: largest norms of the perturbation, in the attack's norm (which the table
            names) and in [0,1] pixel units, e.g. 0.25,128/255
        num_noise: noise samples that the attack averages over
        seed: seed of the noise of the attack and of the predictions
        batch_size: images attacked at once
        precision: of the search and of the predictions. float32 asks the model as it is; auto asks
            a faster copy of it, in bfloat16 where machine and model suit
        out: the file for the figures, written at the end, so that a stopped attack starts anew;
            default: attack.json in the run folder
        progress: show a progress bar
    """
    from rsmooth.certify.proof.bounds import check_n
    from rsmooth.evaluate.attacked import attack_data
    from rsmooth.plumbing.tensors import check_labels

    _check(epsilons, num_noise, batch_size)
    check_n(prediction.n, prediction.alpha)
    name, options, built = with_defaults(attack, DEFAULT_OPTIONS)
    path = output_file(out or _beside(model.source))
    chosen = data.choose(model.source, images)
    g = model.load(image_shape(chosen))
    check_classes(g, chosen)
    check_labels(chosen.labels, len(chosen), g.num_classes)
    asked = {"num_noise": num_noise, **asdict(prediction), "seed": seed, "precision": precision}
    rows: list[UnderAttack] = []
    print(_title(len(chosen), name, built.norm), flush=True)
    for epsilon in epsilons:
        found = attack_data(
            g,
            chosen,
            create(ATTACKS, {"name": name, **options, "epsilon": epsilon}) if epsilon else None,
            **asked,
            batch_size=batch_size,
            progress=progress,
        )
        print(_line(found), flush=True)
        rows.append(found)
    if path is not None:
        made = {
            "attack": {"name": name, **options},
            **({"used": used} if (used := built.used()) else {}),
            "norm": built.norm,
            **asked,
            **noise_config(g.noise),
            "dataset": chosen.name,
            "split": chosen.split,
            "images": chosen.index.tolist(),
            "rows": [row.record() for row in rows],
        }
        replace_file(path, f"{json.dumps(made, indent=1)}\n".encode())


def _title(images: int, name: str, norm: str) -> str:
    return (
        f"{'epsilon':>8} {'accuracy %':>10} {'s.e.':>5} {'abstained %':>11}   "
        f"({images} images, {name}, epsilon in {norm})"
    )


def _line(row: UnderAttack) -> str:
    mark = f"   no gradient for {row.without_gradient} of {row.images} images"
    return (
        f"{row.epsilon:8.4g} {100 * row.accuracy:10.1f} {100 * row.standard_error:5.1f} "
        f"{100 * row.abstained:11.1f}{mark if row.without_gradient else ''}"
    )


def _check(epsilons: Sequence[float], num_noise: int, batch_size: int) -> None:
    if not epsilons or min(epsilons) < 0 or num_noise < 1 or batch_size < 1:
        raise ValueError(
            "expected at least one epsilon, none below 0, and num_noise and batch_size of at least "
            f"1, got epsilons={list(epsilons)}, num_noise={num_noise} and "
            f"batch_size={batch_size}; use e.g. --epsilons 0.25,0.5"
        )


def _beside(source: Path | None) -> Path | None:
    return source / "attack.json" if source is not None and source.is_dir() else None


def with_defaults(attack: Spec, options: Mapping[str, Any]) -> tuple[str, dict[str, Any], Attack]:
    """Name and options of the attack as they are used; the attack, of epsilon 1.

    options: the verb's own defaults, for attacks that have such options. An attack that cannot be
        built, or is targeted, is refused here, before any work.
    """
    from rsmooth.attacks.base import check_untargeted

    name, given = split_spec(attack, "attack")
    if "epsilon" in given:
        raise ValueError(
            "expected epsilon outside the attack, got epsilon within it; use --epsilons 0.25,0.5, "
            "or --factors of rsmooth audit"
        )
    entry = ATTACKS.get(name)
    defaults = {key: value for key, value in options.items() if accepts(entry, key)}
    chosen = checked_options(entry, {**defaults, **given}, f"attack {name!r}")
    built: Attack = create(ATTACKS, {"name": name, **chosen, "epsilon": 1.0})
    check_untargeted(built)
    return name, chosen, built
