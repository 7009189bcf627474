"""Our classifiers and attacks as foolbox sees them.

This module imports foolbox, and is itself imported only on use.
"""

from __future__ import annotations

from dataclasses import replace

import eagerpy as ep
import torch
from foolbox import Model, PyTorchModel
from foolbox.attacks.base import FixedEpsilonAttack, get_criterion
from foolbox.criteria import Criterion, TargetedMisclassification
from foolbox.distances import LpDistance
from torch import Tensor, nn

from rsmooth.attacks.base import Attack
from rsmooth.attacks.l2 import Bounds
from rsmooth.attacks.norms import order_of
from rsmooth.models.state import device_of
from rsmooth.smoothed import SmoothedClassifier


class SmoothedModel(PyTorchModel):  # type: ignore[misc]
    """A foolbox model of log G that remembers its smoothed classifier."""

    def __init__(self, g: SmoothedClassifier, bounds: Bounds) -> None:
        super().__init__(g, bounds=bounds, device=device_of(g))
        self.smoothed = g

    def transform_bounds(
        self, bounds: Bounds, inplace: bool = False, wrapper: bool = False
    ) -> SmoothedModel:
        """Refused with ValueError: sigma is in the pixel units of g."""
        raise ValueError(
            "expected images in the units of the smoothed classifier, within "
            f"{tuple(self.bounds)}, got a request for bounds {tuple(bounds)}; rescale the images "
            "instead"
        )


class _Callable(nn.Module):
    """A foolbox model as a module: images (N, C, H, W) -> logits (N, K)."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self._model(x)
        return logits


class OurAttack(FixedEpsilonAttack):  # type: ignore[misc]
    """One of our attacks as a foolbox attack of fixed epsilon."""

    def __init__(self, attack: Attack, num_noise: int, seed: int) -> None:
        self.attack = attack
        self.num_noise = num_noise
        self.seed = seed

    @property
    def distance(self) -> LpDistance:
        """That of the attack's norm, in which foolbox clips and compares."""
        return LpDistance(order_of(self.attack.norm))

    def run(
        self, model: Model, inputs: Tensor, criterion: Criterion | Tensor, *, epsilon: float
    ) -> Tensor:
        """The attacked images; foolbox's base class has validated the call."""
        x, restore = ep.astensor_(inputs)
        g = self._classifier(model, x.raw)
        targeted = isinstance(criterion, TargetedMisclassification)
        labels = _labels(criterion)
        attack = replace(self.attack, epsilon=epsilon, targeted=targeted)
        generator = torch.Generator().manual_seed(self.seed)
        x_adv = attack(
            g,
            x.raw,
            labels.raw,
            num_noise=self.num_noise,
            bounds=tuple(model.bounds),
            generator=generator,
        )
        attacked: Tensor = restore(ep.astensor(x_adv))
        return attacked

    @staticmethod
    def _classifier(model: Model, x: Tensor) -> SmoothedClassifier:
        """The classifier behind a model of ``to_foolbox``, or one without noise around another."""
        if isinstance(model, SmoothedModel):
            return model.smoothed
        module = _Callable(model).eval()
        return SmoothedClassifier(module, sigma=0.0, num_classes=module(x[:1]).shape[1])


def _labels(criterion: Criterion | Tensor) -> ep.Tensor:
    """The classes to leave, or to reach where the criterion is targeted."""
    if isinstance(criterion, TargetedMisclassification):
        return criterion.target_classes
    return get_criterion(criterion).labels
