"""The parts of a run from their specs: noise, base classifier, trainer."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from rsmooth.config.environment import create_here
from rsmooth.config.specs import Spec, accepts, create, split_spec
from rsmooth.models.shipped import is_shipped
from rsmooth.registry import ATTACKS, MODELS, NOISES, TRAINERS

if TYPE_CHECKING:
    from rsmooth.data.splits import DataSplits
    from rsmooth.defenses.trainer import Trainer
    from rsmooth.noise.distributions import NoiseDistribution


LIKELY = 4.0  # the largest sigma, in [0, 1] pixel units, that anybody publishes is 2


def build_noise(
    sigma: float | None, noise: Spec | None, *, zero: bool = False
) -> NoiseDistribution:
    """The noise of a spec, or Gaussian noise of a sigma.

        build_noise(0.25, None)  # Gaussian(0.25)
        build_noise(None, {"name": "uniform", "half_width": 0.5})

    zero: whether a sigma of 0 is allowed, for classifiers that are certified by bounds.

    ValueError unless exactly one is given, and for noise of scale 0.
    """
    if zero and sigma == 0 and noise is None:
        return create(NOISES, {"name": "gaussian", "sigma": 0.0})  # type: ignore[no-any-return]
    if (sigma is None) == (noise is None):
        raise ValueError(
            f"expected either sigma or noise, got {'neither' if sigma is None else 'both'}; "
            "use --sigma 0.25, or e.g. --noise uniform --noise.half_width 0.5"
        )
    spec: Spec = {"name": "gaussian", "sigma": sigma} if noise is None else noise
    if sigma is not None and sigma > LIKELY:
        warnings.warn(
            f"sigma={sigma:g} is in [0, 1] pixel units, of which 1 is the whole range; in steps of "
            f"255 it is written --sigma {sigma:g}/255",
            stacklevel=2,
        )
    built: NoiseDistribution = create(NOISES, spec)
    if not built.scale_value > 0:
        raise ValueError(
            f"expected a finite {built.scale_name} > 0, got {built.scale_value:g}; without noise "
            "nothing is certified"
        )
    return built


def noise_config(noise: NoiseDistribution) -> dict[str, Any]:
    """The entry of a noise in a configuration; for Gaussian noise that is its sigma."""
    record = noise.record()
    return {"sigma": record["sigma"]} if record["name"] == "gaussian" else {"noise": record}


def build_model(model: Spec, splits: DataSplits) -> Any:
    """The base classifier of a spec.

        build_model({"name": "small-cnn", "width": 16}, splits)

    What the spec leaves out comes from the data: number of classes, image shape, normalisation. But
    networks of other libraries bring a normalisation of their own. $NAME in an option, such as a
    file of weights, is the environment variable NAME.
    """
    check_untrained(model)
    name, options = split_spec(model, MODELS.kind)
    known = {
        "num_classes": splits.num_classes,
        "in_channels": splits.image_shape[0],
        "image_size": splits.image_shape[-1],
        "normalize": splits.normalize,
    }
    from_data = {
        key: value
        for key, value in known.items()
        if accepts(MODELS.get(name), key)
        and key not in options
        and not (key == "normalize" and _default(MODELS.get(name), key) == "own")
    }
    return create_here(MODELS, {"name": name, **options}, **from_data)


def check_untrained(model: Spec) -> None:
    """ValueError for the name of a trained model of the package, which is no architecture."""
    name = split_spec(model, MODELS.kind)[0]
    if name not in MODELS and is_shipped(name):
        raise ValueError(
            f"expected an architecture, got {name}, which is a trained model; name it in place of "
            f"a run folder, without --model, or train on with --init_from {name}"
        )


def _default(entry: Any, option: str) -> Any:
    parameter = inspect.signature(entry).parameters.get(option)
    return None if parameter is None else parameter.default


def settle_trainer(
    trainer: Spec | None, attack: Spec | None, preset: str | None
) -> tuple[Spec, str | None]:
    """The trainer's spec with its name, and why it is that one where nobody named it.

        settle_trainer(None, {"name": "smoothadv-pgd", "epsilon": 0.5, "steps": 2}, None)
        # {"name": "smoothadv"}, "since the attack smoothadv-pgd is on the smoothed classifier"

    Of an unnamed one, the preset decides, else the attack by its target; without either it is
    ``gaussian``.
    """
    if isinstance(trainer, str) or (trainer is not None and "name" in trainer):
        return trainer, None
    options = trainer or {}
    of_preset = None if preset is None else _trainer_of(preset)
    if of_preset is not None:
        return {"name": of_preset, **options}, f"since the preset {preset} is of that one"
    if attack is None:
        return {"name": "gaussian", **options}, None
    smoothed = create(ATTACKS, attack).target == "smoothed"
    named = split_spec(attack, ATTACKS.kind)[0]
    what = "smoothed" if smoothed else "base"
    return (
        {"name": "smoothadv" if smoothed else "perturb-then-noise", **options},
        f"since the attack {named} is on the {what} classifier",
    )


def build_trainer(
    trainer: Spec | None, attack: Spec | None, seed: int, preset: str | None = None
) -> Trainer:
    """The trainer of a spec, with the attack of another spec.

        build_trainer("smoothadv", {"name": "smoothadv-pgd", "epsilon": 0.5, "steps": 2}, seed=0)

    Options of the spec come before those of ``preset``, and these before ``seed``. ValueError for a
    preset of another trainer.
    """
    name, options = split_spec(settle_trainer(trainer, attack, preset)[0], TRAINERS.kind)
    below = {} if preset is None else _preset(preset, name)
    against = {} if attack is None else {"attack": create(ATTACKS, attack)}
    if against:
        below.pop("attack", None)
    built: Trainer = create(TRAINERS, {"name": name, "seed": seed, **below, **options}, **against)
    return built


def _trainer_of(preset: str) -> str | None:
    from rsmooth.defenses.preset_files import preset_trainer

    return preset_trainer(preset)


def _preset(preset: str, trainer: str) -> dict[str, Any]:
    from rsmooth.defenses import preset_files

    wanted = _trainer_of(preset)
    if wanted not in (None, trainer):
        raise ValueError(
            f"expected the trainer {wanted} for the preset {preset}, got {trainer}; add "
            f"--trainer {wanted}"
        )
    return preset_files.preset(preset)
