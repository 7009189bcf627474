"""Training by intervals (IBP), and by a backward pass through them (CROWN-IBP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import BoundedPass
from rsmooth.defenses.bound_training import BoundTraining, check_shares
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.optimizers import OptimizerName
from rsmooth.training.schedules import Schedule, WarmUp, between


@TRAINERS.register("ibp")
@dataclass(frozen=True, kw_only=True)
class IntervalTraining(BoundTraining):
    """Learn the worst case of interval bounds, IBP (Gowal et al. 2018; Shi et al. 2021).

        IntervalTraining(epsilon=2 / 255).fit(g, data.train)  # of a g with sigma=0
        IntervalTraining(epsilon=2 / 255, kappa_start=1.0, kappa_end=0.5, regularizer_weight=0.0)

    The further options are those of ``BoundTraining`` and ``Trainer``. The defaults are the short
    recipe of Shi et al. (arXiv:2103.17268): 160 epochs, epsilon grown along the smoothed ramp from
    epoch 1 to 81, their two penalties meanwhile, Adam, gradients clipped. Start from their first
    weights (``cnn7-bn``, or ``initial="ibp"`` of other networks). The second line is the loss of
    Gowal et al. (arXiv:1810.12715).
    """

    epochs: int = 160
    batch_size: int = 128
    optimizer: OptimizerName = "adam"
    lr: float = 5e-4
    weight_decay: float = 0.0
    schedule: Schedule = "milestones"
    lr_milestones: tuple[int, ...] = (120, 140)
    lr_gamma: float = 0.2
    warmup_from: int = 1
    warmup_epochs: int = 81
    warmup_per: WarmUp = "smoothed"
    clip_grad_norm: float | None = 10.0
    regularizer_weight: float = 0.5


@TRAINERS.register("crown-ibp")
@dataclass(frozen=True, kw_only=True)
class CrownIbpTraining(IntervalTraining):
    """Learn the worst case of a backward pass through intervals, CROWN-IBP (Zhang et al. 2020).

        CrownIbpTraining(epsilon=2 / 255).fit(g, data.train)  # of a g with sigma=0
        CrownIbpTraining(epsilon=8 / 255, beta_end=0.0)

    beta_start, beta_end: weight of the backward pass at epsilon 0 and at the full epsilon, in
        [0, 1]; that of the margins by intervals is 1 - beta.

    arXiv:1906.06316: m = beta m_CROWN-IBP + (1 - beta) m_IBP. At 2/255 beta stays 1, as
    published; at 8/255 it falls to 0. A step costs about ten of IBP. The further options are those
    of ``IntervalTraining``.
    """

    beta_start: float = 1.0
    beta_end: float = 1.0

    figures: ClassVar[tuple[str, ...]] = (*BoundTraining.figures, "beta")
    certifies_by: ClassVar[Method] = "crown-ibp"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "beta_start", "beta_end")

    def margins(self, done: BoundedPass, batch: Batch, share: float) -> Tensor:
        beta = between(self.beta_start, self.beta_end, share)
        batch.note(beta=beta)
        # What weighs nothing is not computed.
        if beta == 0:
            return done.margins(batch.y, "ibp")
        backward = beta * done.margins(batch.y, "crown-ibp")
        return backward if beta == 1 else backward + (1 - beta) * done.margins(batch.y, "ibp")
