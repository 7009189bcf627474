"""The parts of a run from their specs: noise, base classifier, trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rsmooth.config.specs import Spec, accepts, create, split_spec
from rsmooth.registry import ATTACKS, MODELS, NOISES, TRAINERS

if TYPE_CHECKING:
    from rsmooth.data.splits import DataSplits
    from rsmooth.defenses.trainer import Trainer
    from rsmooth.noise.distributions import NoiseDistribution


def build_noise(sigma: float | None, noise: Spec | None) -> NoiseDistribution:
    """The noise of a spec, or Gaussian noise of a sigma; ValueError unless just one is given.

    No noise at all, a scale of 0, is refused as well.
    """
    if (sigma is None) == (noise is None):
        raise ValueError(
            f"expected either sigma or noise, got {'neither' if sigma is None else 'both'}; "
            "use --sigma 0.25, or e.g. --noise uniform --noise.half_width 0.5"
        )
    spec: Spec = {"name": "gaussian", "sigma": sigma} if noise is None else noise
    built: NoiseDistribution = create(NOISES, spec)
    if not built.scale_value > 0:
        raise ValueError(
            f"expected a finite {built.scale_name} > 0, got {built.scale_value:g}; without noise "
            "nothing is certified"
        )
    return built


def noise_config(noise: NoiseDistribution) -> dict[str, Any]:
    """How a configuration says a noise: Gaussian noise by its sigma alone, as it always did."""
    record = noise.record()
    return {"sigma": record["sigma"]} if record["name"] == "gaussian" else {"noise": record}


def build_model(model: Spec, splits: DataSplits) -> Any:
    """The base classifier of a spec, told the data's classes, shape and normalisation where the
    spec is silent.
    """
    name, options = split_spec(model, MODELS.kind)
    known = {
        "num_classes": splits.num_classes,
        "in_channels": splits.image_shape[0],
        "image_size": splits.image_shape[-1],
        "normalize": splits.normalize,
    }
    told = {
        key: value
        for key, value in known.items()
        if accepts(MODELS.get(name), key) and key not in options
    }
    return create(MODELS, {"name": name, **options}, **told)


def build_trainer(
    trainer: Spec, attack: Spec | None, seed: int, preset: str | None = None
) -> Trainer:
    """The trainer of a spec, given the attack of another; its options go over the preset's and over
    ``seed``.
    """
    from rsmooth.defenses.preset_files import preset as preset_options

    name, options = split_spec(trainer, TRAINERS.kind)
    below = {} if preset is None else preset_options(preset)
    against = {} if attack is None else {"attack": create(ATTACKS, attack)}
    built: Trainer = create(TRAINERS, {"name": name, "seed": seed, **below, **options}, **against)
    return built
