"""``rsmooth train``: from a configuration to a run folder with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.cli.images import load_splits
from rsmooth.cli.options import accepts, create
from rsmooth.cli.runs import claim, pick_device
from rsmooth.cli.values import PixelValue, Spec, split_spec

if TYPE_CHECKING:
    from rsmooth.data import DataSplits
    from rsmooth.defenses import Trainer


def train(run: Path, sigma: PixelValue, dataset: Spec = "digits", model: Spec = "small-cnn",
          trainer: Spec = "gaussian", attack: Spec | None = None, seed: int = 0, device: str = "auto",
          progress: bool = True) -> None:
    """Train a smoothed classifier and keep everything about it in a run folder; resumes what was interrupted.

    Args:
        run: the folder for configuration, metrics, checkpoint and model
        sigma: standard deviation of the noise in [0,1] pixel units, e.g. 0.25 or 64/255
        dataset: what to train on; options as dataset.root=... (see rsmooth list datasets)
        model: the base classifier (see rsmooth list models)
        trainer: how noise, attack and loss are joined (see rsmooth list trainers)
        attack: the attack that the trainer trains against (see rsmooth list attacks)
        seed: seeds the initial weights and the trainer
        device: cpu, cuda, or auto
        progress: show a progress bar
    """
    import torch

    from rsmooth import SmoothedClassifier

    target = pick_device(device)
    config = {"sigma": float(sigma), "dataset": dataset, "model": model, "trainer": trainer, "attack": attack,
              "seed": seed}
    splits = load_splits(dataset)
    if splits.train is None:
        raise ValueError(f"expected a data set with training images, got {dataset!r} without any")
    built = build_trainer(trainer, attack, seed)
    torch.manual_seed(seed)
    g = SmoothedClassifier(build_model(model, splits), sigma, splits.num_classes).to(target)
    claim(run, config)  # only now, so that a mistake in the options leaves no folder behind
    built.fit(g, splits.train, validation=splits.validation, run_dir=run, progress=progress)


def build_model(model: Spec, splits: DataSplits) -> Any:
    """The base classifier of a spec, told the data's classes and channels."""
    import rsmooth.models  # noqa: F401 - enters the models into their registry
    from rsmooth.registry import MODELS

    name, options = split_spec(model, MODELS.kind)
    known = {"num_classes": splits.num_classes, "in_channels": splits.image_shape[0],
             "image_size": splits.image_shape[-1]}
    told = {key: value for key, value in known.items() if accepts(MODELS.get(name), key) and key not in options}
    return create(MODELS, {"name": name, **options}, **told)


def build_trainer(trainer: Spec, attack: Spec | None, seed: int) -> Trainer:
    """The trainer of a spec, given the attack of another and, where its options name none, the seed."""
    import rsmooth.attacks
    import rsmooth.defenses  # noqa: F401 - enter attacks and trainers into their registries
    from rsmooth.registry import ATTACKS, TRAINERS

    name, options = split_spec(trainer, TRAINERS.kind)
    against = {} if attack is None else {"attack": create(ATTACKS, attack)}
    built: Trainer = create(TRAINERS, {"name": name, "seed": seed, **options}, **against)
    return built
