"""MTL-IBP: the loss at attacked images and that of interval bounds, weighed against each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from rsmooth.attacks.pgd import PGD
from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import BoundedPass
from rsmooth.defenses.interval_training import IntervalTraining
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch


@TRAINERS.register("mtl-ibp")
@dataclass(frozen=True, kw_only=True)
class MtlIbp(IntervalTraining):
    """Learn attacked images, and a little of the worst case of intervals (De Palma et al. 2024).

        MtlIbp(epsilon=2 / 255).fit(g, data.train)  # of a g with sigma=0

    kappa_start, kappa_end: weight of the loss at the attacked images; 1 - kappa is the alpha of
        the paper, 0.01 here.
    attack_scale: epsilon of the attack, in multiples of the epsilon of the bounds.
    attack_steps: of l-infinity PGD from a random start.

    arXiv:2305.13991. The attack meets the classifier in eval mode; its images are then judged with
    the batch norm of the clean pass. What such a network can have proven shows only with bounds
    that are dearer than intervals. The further options are those of ``IntervalTraining``.
    """

    kappa_start: float = 0.99
    kappa_end: float = 0.99
    attack_scale: float = 2.0
    attack_steps: int = 1
    l1_weight: float = 3e-6

    searches: ClassVar[bool] = True
    certifies_by: ClassVar[Method] = "crown-ibp"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(attack_steps=self.attack_steps)
        if not 0 < self.attack_scale < math.inf:
            raise ValueError(f"expected a finite attack_scale > 0, got {self.attack_scale!r}")

    def fit_losses(self, done: BoundedPass, batch: Batch, share: float) -> Tensor:
        radius = self.attack_scale * share * self.epsilon
        x_adv = attacked(batch, radius, self.attack_steps)
        logits, _ = done.graph.clean_pass(x_adv.to(done.logits.dtype), update=False)
        return cross_entropy(logits, batch.y, reduction="none")


def attacked(batch: Batch, epsilon: float, steps: int) -> Tensor:
    """The images of a batch after l-infinity PGD from a random start, in eval mode.

    x_adv = attacked(batch, 2 / 255, steps=8)

    The start is drawn from torch's own stream, so several processes start elsewhere than one does.
    """
    attack = PGD(epsilon=epsilon, steps=steps, norm="linf", random_start=True)
    return attack(batch.g, batch.x, batch.y, validate=False)
