"""One mini-batch as a method sees it: all that it may know, and nothing of the machinery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth.attacks.base import Attack
from rsmooth.bounds.interval import Interval
from rsmooth.bounds.passes import BoundedPass
from rsmooth.models.state import dtype_of
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.draws import Draws, JoinedDraws
from rsmooth.training.views import Views


@dataclass(frozen=True)
class When:
    """Where in the run a step is.

    epoch: from 0. progress: in epochs, such as 2.25. Under a time budget it follows the seconds,
    while the epoch stays that of the data. step: of the whole run, from 0.
    """

    epoch: int
    progress: float
    step: int = 0


@dataclass(eq=False)
class Batch:
    """What ``Trainer.losses`` is given for one optimiser step.

        def losses(self, batch):
            x_adv = batch.perturb()
            log_probs = batch.log_probs(x_adv.unsqueeze(1) + batch.noise)
            return smoothadv(log_probs, batch.y)

    x: images (B, C, H, W) in [0, 1], augmented.
    targets: labels (B,), or class probabilities (B, K).
    y: labels (B,); of class probabilities the most probable class.
    ids: (B,), what names each image.
    noise: (B, m, C, H, W), drawn from ``distribution``, the same for attack and training points.
    extras: the columns that ``fit`` was given, by name, each (B, ...).
    attack: the trainer's, at its present epsilon; None without one.
    """

    x: Tensor
    targets: Tensor
    noise: Tensor
    ids: Tensor
    extras: Mapping[str, Tensor]
    attack: Attack | None
    views: Views = field(repr=False)
    draws: Draws | JoinedDraws = field(repr=False)
    when: Callable[[str], When] = field(repr=False)
    first_log_probs: Tensor | None = field(default=None, repr=False)
    notes: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def y(self) -> Tensor:
        """Labels (B,); of class probabilities the most probable class."""
        return self.targets if self.targets.ndim == 1 else self.targets.argmax(dim=1)

    @property
    def distribution(self) -> NoiseDistribution:
        """The distribution that the noise is drawn from, such as ``Gaussian(0.25)``."""
        return self.views.noise

    @property
    def sigma(self) -> float:
        """The sigma of Gaussian noise; ValueError for another, which has none."""
        return self.g.sigma

    @property
    def epoch(self) -> int:
        """The epoch, from 0."""
        return self.when("epoch").epoch

    @property
    def progress(self) -> float:
        """How far along the run is, in epochs: 2.25 is a quarter into the third."""
        return self.when("progress").progress

    @property
    def step(self) -> int:
        """The number of this step in the whole run, from 0."""
        return self.when("step").step

    @property
    def g(self) -> SmoothedClassifier:
        """The classifier in eval mode with frozen weights, for attacks and for looking.

        With fold_attack its batch norm is folded into the convolutions. That is done anew after
        every ``log_probs``, since it moves the running statistics.
        """
        return self.views.attacked()

    @property
    def module(self) -> nn.Module:
        """The base classifier itself, in train mode: for bounds, or a denoiser's own output."""
        return self.views.touched()

    def log_probs(self, points: Tensor) -> Tensor:
        """One pass in train mode: points (B, M, C, H, W) -> log-probabilities (B, M, K).

            log_probs = batch.log_probs(batch.x.unsqueeze(1) + batch.noise)

        Each call is a pass of its own, normalised by its own batch statistics. The metrics of the
        run (accuracy, predicted classes) are those of the first, which must be of all images.
        """
        if points.ndim != 5 or (self.first_log_probs is None and len(points) != len(self.x)):
            raise ValueError(
                f"expected points ({len(self.x)}, M, {', '.join(map(str, self.x.shape[1:]))}), got "
                f"{tuple(points.shape)}; the first pass is of all images of the batch, since the "
                "metrics are read from it; further points of an image go into M"
            )
        log_probs = self.views.log_probs(points)
        if self.first_log_probs is None:
            self.first_log_probs = log_probs.detach()
        return log_probs

    def through(self, part: str, images: Tensor) -> Tensor:
        """The output of a part of ``module`` for images, in the precision of the run.

            clean = batch.through("denoiser", (batch.x.unsqueeze(1) + batch.noise).flatten(0, 1))

        part: the name of a sub-module, such as "classifier". ValueError where there is none.

        The metrics of the run know nothing of it.
        """
        return self.views.through(part, images)

    def bounds(self, box: Interval) -> BoundedPass:
        """One clean pass in train mode, and bounds of the same network over a box of images.

            done = batch.bounds(pixel_box(batch.x, 2 / 255))
            done.logits, done.margins(batch.y, "ibp")

        Batch norm has the statistics of the clean pass in both, and moves its running ones once.
        All is in the type of the weights, float32 or float64, whatever the precision of the run.
        The metrics are those of the clean pass.
        """
        dtype = dtype_of(self.module, self.x.dtype)
        done = BoundedPass(self.views.graph(), box.to(dtype), x=self.x.to(dtype))
        if self.first_log_probs is None:
            self.first_log_probs = done.logits.detach().log_softmax(dim=1).unsqueeze(1)
        return done

    def note(self, **figures: Tensor | float) -> None:
        """Record further figures of the images, whose mean over the epoch goes into the metrics.

            batch.note(certified_accuracy=(margins > 0).all(dim=1))

        Each is (B,) or one number. The method names them all in ``figures``.
        """
        for name, values in figures.items():
            # A number is made on the device, which nobody then waits for.
            if not isinstance(values, Tensor):
                values = torch.full((), float(values), device=self.x.device)
            self.notes[name] = values.detach().float().expand(len(self.x))

    def perturb(self, x: Tensor | None = None, **options: Any) -> Tensor:
        """The images as the trainer's attack perturbs them; unchanged where there is none.

            x_adv = batch.perturb()

        x: (B, C, H, W) to perturb in place of the batch's images.
        options: of the attack's call; the noise is that of the batch unless given.
        """
        x = self.x if x is None else x
        if self.attack is None:
            return x
        return self.attack(self.g, x, self.y, **{"noise": self.noise, "validate": False, **options})

    def uniform(self, purpose: str, count: int) -> Tensor:
        """Uniform numbers in [0, 1) for each image: (B, count) float64.

            share = batch.uniform("mixing", 1)

        They are keyed by (seed, purpose, image, epoch), whatever the batch or the number of
        processes. So resuming changes nothing. Another purpose gives other numbers.
        """
        return self.draws.uniform(self.ids, self.epoch, purpose, count)


def check_losses(losses: Tensor, batch: Batch) -> Tensor:
    """What a method returned, if it is one loss per image (B,); ValueError otherwise."""
    if not isinstance(losses, Tensor) or losses.shape != (len(batch.x),):
        found = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise ValueError(
            f"expected losses(batch) to return one loss per image ({len(batch.x)},), got {found}; "
            "do not average over the batch"
        )
    if not losses.requires_grad:
        raise ValueError(
            "expected losses(batch) to depend on the weights that train, got losses without "
            "gradient; compute them with batch.log_probs or batch.module: the weights of batch.g "
            "are frozen"
        )
    return losses if losses.dtype in (torch.float32, torch.float64) else losses.float()
