"""SABR: interval bounds of a small box around an attacked image, in place of the whole box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsmooth.bounds.interval import pixel_box
from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import BoundedPass
from rsmooth.defenses.interval_training import IntervalTraining
from rsmooth.defenses.mtl_ibp import attacked
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch


@TRAINERS.register("sabr")
@dataclass(frozen=True, kw_only=True)
class Sabr(IntervalTraining):
    """Learn the worst case of intervals in a small box, where an attack found it (Mueller et al.).

        Sabr(epsilon=2 / 255).fit(g, data.train)  # of a g with sigma=0

    box_share: half the width of the small box, as a share of epsilon, in (0, 1]; 1 is IBP.
    attack_steps: of l-infinity PGD from a random start.

    arXiv:2210.04871. The attack stays within (1 - box_share) epsilon, so that the small box is
    within the whole one. It meets the classifier in eval mode. What such a network can have proven
    shows only with bounds that are dearer than intervals. The further options are those of
    ``IntervalTraining``.
    """

    box_share: float = 0.1
    attack_steps: int = 8
    l1_weight: float = 1e-6

    searches: ClassVar[bool] = True
    certifies_by: ClassVar[Method] = "crown-ibp"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(attack_steps=self.attack_steps)
        if not 0 < self.box_share <= 1:
            raise ValueError(f"expected box_share in (0, 1], got {self.box_share!r}")

    def bounds(self, batch: Batch, epsilon: float) -> BoundedPass:
        middle = batch.x
        if self.box_share < 1:
            middle = attacked(batch, (1 - self.box_share) * epsilon, self.attack_steps)
        return batch.bounds(pixel_box(middle, self.box_share * epsilon, self.box_ends))
