"""Gaussian augmentation, and four ways to join noise and attack, side by side.

Each refuses an attack that would make it another arm. Orders (2) and (4) are the Trainer itself.
They differ in the target of the attack.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack
from rsmooth.defenses.trainer import Trainer
from rsmooth.plumbing.errors import remedy
from rsmooth.registry import TRAINERS
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.options import loss_of_one_copy


def _require_target(trainer: Trainer, target: str) -> None:
    """ValueError unless the trainer has an attack on ``target``."""
    got = "no attack" if trainer.attack is None else f"one with target={trainer.attack.target!r}"
    if trainer.attack is None or trainer.attack.target != target:
        raise ValueError(
            f"expected {type(trainer).__name__} to be given an attack with target={target!r}, got "
            f"{got}; target is an option of every attack; or take another trainer"
        )


@TRAINERS.register("gaussian")
@dataclass(frozen=True, kw_only=True)
class GaussianAugmentation(Trainer):
    """Train on noisy images, without an attack (Cohen et al. 2019).

        GaussianAugmentation(epochs=150)

    The options are those of ``Trainer``. arXiv:1902.02918, section 3.3. ValueError for an attack.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attack is not None:
            raise ValueError(
                f"expected no attack for Gaussian augmentation, got {self.attack!r}; "
                "to use one, take a trainer that attacks: "
                + remedy(
                    "Trainer(attack=...), NoiseThenPerturb, PerturbBesideNoise or SmoothAdv",
                    "--trainer smoothadv for attacks of the smoothed classifier, or "
                    "perturb-then-noise, noise-then-perturb, perturb-beside-noise",
                )
            )


@TRAINERS.register("perturb-beside-noise")
@dataclass(frozen=True, kw_only=True)
class PerturbBesideNoise(Trainer):
    """Order (1): attack f at the clean image, and train on noise beside that.

        PerturbBesideNoise(attack=PGD(epsilon=0.5, steps=4), adversarial_weight=0.5)

    adversarial_weight: the share w of the adversarial half, in [0, 1].

    loss = w * CE(f(x_adv), y) + (1 - w) * L(x + noise), where L is the training loss over the m
    noisy copies. No code or formula of this order is published. Our reading is plain adversarial
    training of f beside plain noise training. Both halves pass through f in one batch, so that
    batch norm sees the mixture. ValueError without an attack of target "base".
    """

    adversarial_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_target(self, "base")
        if not 0.0 <= self.adversarial_weight <= 1.0:
            raise ValueError(
                f"expected adversarial_weight in [0, 1], got {self.adversarial_weight!r}"
            )

    def training_points(
        self, g: SmoothedClassifier, x: Tensor, y: Tensor, noise: Tensor, attack: Attack | None
    ) -> Tensor:
        """The m noisy copies of the clean image, then its adversarial example; M = m + 1."""
        assert attack is not None
        return torch.cat(
            [x.unsqueeze(1) + noise, attack(g, x, y, validate=False).unsqueeze(1)], dim=1
        )

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        return loss_of_one_copy(self)

    def loss(self, log_probs: Tensor, y: Tensor) -> Tensor:
        noisy, adversarial = super().loss(log_probs[:, :-1], y), super().loss(log_probs[:, -1:], y)
        return (1 - self.adversarial_weight) * noisy + self.adversarial_weight * adversarial


@TRAINERS.register("perturb-then-noise")
@dataclass(frozen=True, kw_only=True)
class PerturbThenNoise(Trainer):
    """Order (2): attack f at the clean image, then add noise and train there.

        PerturbThenNoise(attack=PGD(epsilon=0.5, steps=4), num_noise=4)

    The options are those of ``Trainer``. ValueError without an attack of target "base".
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_target(self, "base")


@TRAINERS.register("noise-then-perturb")
@dataclass(frozen=True, kw_only=True)
class NoiseThenPerturb(Trainer):
    """Order (3): add noise, then attack f around each noisy point and train there.

        NoiseThenPerturb(attack=PGD(epsilon=0.5, steps=4), num_noise=4)

    The options are those of ``Trainer``. Noisy points may be outside of [0, 1], so the attack has
    no box. Apart from that, with one noise copy it is order (4). ValueError without an attack of
    target "base", and for one that needs a box.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_target(self, "base")
        if self.attack is not None and self.attack.needs_box:
            raise ValueError(
                f"expected {type(self).__name__} to be given an attack without a box of pixels, "
                f"which noisy points may leave, got {self.attack!r}; leave out quantize_levels, or "
                "take PGD"
            )

    def training_points(
        self, g: SmoothedClassifier, x: Tensor, y: Tensor, noise: Tensor, attack: Attack | None
    ) -> Tensor:
        """Every copy x + noise_i perturbed on its own, without bounds; M = m."""
        assert attack is not None
        noisy = (x.unsqueeze(1) + noise).flatten(0, 1)
        labels = y.repeat_interleave(noise.shape[1])
        return attack(g, noisy, labels, bounds=None, validate=False).view_as(noise)

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        return loss_of_one_copy(self)


@TRAINERS.register("smoothadv")
@dataclass(frozen=True, kw_only=True)
class SmoothAdv(Trainer):
    """Order (4): attack the smoothed classifier, then train on the noise that the attack saw.

        SmoothAdv(attack=SmoothAdvPGD(epsilon=0.5, steps=4), num_noise=4)

    The options are those of ``Trainer``. Salman et al. 2019 (arXiv:1906.04584), algorithm 1.
    ValueError without an attack of target "smoothed".
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_target(self, "smoothed")
