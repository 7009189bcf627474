"""Tiny data and classifiers for the tests of training."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rsmooth.attacks import PGD, Attack, SmoothAdvPGD
from rsmooth.data import ImageData
from rsmooth.defenses import PseudoLabels, Trainer
from rsmooth.registry import MODELS, TRAINERS
from rsmooth.smoothed import SmoothedClassifier

CLASSES = 3
ATTACK = SmoothAdvPGD(epsilon=0.5, steps=2)
# A run of four steps with an attack, noise copies, a step of the rate and a warm-up.
BASELINE: dict[str, Any] = {
    "attack": ATTACK,
    "num_noise": 2,
    "epochs": 2,
    "batch_size": 12,
    "lr": 0.05,
    "lr_step_epochs": 1,
    "warmup_epochs": 1,
}


def images(count: int = 24, channels: int = 1, size: int = 8, seed: int = 0) -> ImageData:
    """Noise images, one third brightened by class; their ids are not their positions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    pixels = torch.randint(0, 128, (count, channels, size, size), generator=generator)
    third = size // CLASSES
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[:, label * third : (label + 1) * third] += 100
    return ImageData(
        pixels.to(torch.uint8), labels, torch.arange(count) * 7 + 3, CLASSES, "stripes", "train"
    )


def classifier(
    name: str = "small-cnn", sigma: float = 0.25, seed: int = 0, channels: int = 1
) -> SmoothedClassifier:
    """An untrained classifier: "small-cnn" has batch norm, "mlp" has none."""
    options = {"width": 4} if name == "small-cnn" else {"hidden": (8,)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        base = MODELS.create(name, num_classes=CLASSES, in_channels=channels, **options)
    return SmoothedClassifier(base, sigma, CLASSES)


# What trainers must be given, or have defaults of that are made for long runs.
OF_BOUNDS: dict[str, Any] = {"epsilon": 0.02, "warmup_from": 0, "warmup_epochs": 1}
OPTIONS = dict.fromkeys(("ibp", "crown-ibp", "mtl-ibp", "sabr", "wong-kolter"), OF_BOUNDS)


def build(name: str, **options: Any) -> Trainer:
    """A registered trainer with an attack if it wants one, on whichever target it wants.

    Where the batches are too small for its copies, it gets four of them.
    """
    copies = inspect.signature(TRAINERS.get(name)).parameters["num_noise"].default
    if "batch_size" in options and copies > options["batch_size"]:
        options = {"num_noise": 4, **options}
    options = {**OPTIONS.get(name, {}), **options}
    if TRAINERS.get(name).without_noise:
        options.pop("num_noise", None)
    wanted: list[Attack | None] = [
        None,
        PGD(epsilon=0.5, steps=2),
        SmoothAdvPGD(epsilon=0.5, steps=2),
    ]
    refusals = []
    for attack in wanted:
        try:
            trainer: Trainer = TRAINERS.create(name, attack=attack, **options)
        except ValueError as error:  # noqa: PERF203
            refusals.append(str(error))
        else:
            return trainer
    raise AssertionError(f"no attack suits {name}: {refusals}")


def suited(trainer: Trainer, name: str = "small-cnn") -> SmoothedClassifier:
    """A ``classifier``, behind a denoiser for a trainer that leaves the classifier alone.

    It has noise unless the trainer is one without.
    """
    g = classifier(name, sigma=0.0 if trainer.without_noise else 0.25)
    if "classifier" not in trainer.frozen_parts:
        return g
    # From three layers on it has batch norm, as small-cnn has.
    front = {"name": "dncnn", "depth": 2 if name == "mlp" else 3, "width": 4, "in_channels": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return g.around(MODELS.create("denoised", denoiser=front, classifier=g.base))


def extras_for(trainer: Trainer, data: ImageData) -> dict[str, Tensor]:
    """What the trainer needs beside the images: class probabilities that lean to the label."""
    lean = 0.7 * one_hot(data.labels, data.num_classes) + 0.3 / data.num_classes
    return dict.fromkeys(trainer.needs, lean)


def weights(g: SmoothedClassifier) -> Tensor:
    """All weights and statistics as one vector."""
    return torch.cat([value.detach().flatten().double() for value in g.base.state_dict().values()])


def trained(
    trainer: Trainer,
    g: SmoothedClassifier | None = None,
    data: ImageData | None = None,
    unlabelled: PseudoLabels | None = None,
) -> Tensor:
    """The weights after training."""
    g, data = g or classifier(), data or images()
    extras = extras_for(trainer, data)
    trainer.fit(g, data, unlabelled=unlabelled, extras=extras, progress=False)
    return weights(g)
