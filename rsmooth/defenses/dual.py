"""Training by Wong and Kolter's dual bound, exact or with random projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from rsmooth.bounds.interval import pixel_box
from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import BoundedPass, Bounds
from rsmooth.bounds.projection import estimated_margins
from rsmooth.bounds.tracing import trace_network
from rsmooth.defenses.bound_training import BoundTraining
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.schedules import Schedule


@TRAINERS.register("wong-kolter")
@dataclass(frozen=True, kw_only=True)
class WongKolter(BoundTraining):
    """Learn the worst case of the dual bound of the convex relaxation (Wong and Kolter 2018).

        WongKolter(epsilon=2 / 255, projections=50).fit(g, data.train)  # of a g with sigma=0

    projections: random vectors by which l1 norms are estimated in training (arXiv:1805.12514,
        section 3.2; 50 as published); None computes them. An estimate is no bound, and certifies
        nothing: validation images are certified by the bound itself.

    arXiv:1711.00851. The dual bound is that of ``margin_bounds(..., method="fast-lin")``. The
    defaults are the published recipe for CIFAR-10: 60 epochs, epsilon grown over 20 of them, then
    half the rate every 10, boxes that may leave [0, 1]. Certificates of that larger box hold for
    [0, 1] too. The exact bound costs as many backward passes as there are ReLUs. The further
    options are those of ``BoundTraining``; start from "wong-kolter" first weights.
    """

    projections: int | None = None
    epochs: int = 60
    batch_size: int = 50
    lr: float = 0.05
    weight_decay: float = 5e-4
    schedule: Schedule = "milestones"
    lr_milestones: tuple[int, ...] = (30, 40, 50)
    lr_gamma: float = 0.5
    warmup_epochs: int = 20
    clip_grad_norm: float | None = 1.0
    clip_box: bool = False
    certified_images: int = 100  # type: ignore[misc]  # the exact bound takes its time

    certifies_by: ClassVar[Method] = "fast-lin"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.projections is not None and self.projections < 1:
            raise ValueError(f"expected projections >= 1, or None, got {self.projections}")

    def margins(self, done: BoundedPass, batch: Batch, share: float) -> Tensor:
        if self.projections is None:
            return done.margins(batch.y, "fast-lin")
        return estimated_margins(done, batch.y, projections=self.projections)

    def margins_of(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        if self.projections is None:
            return super().margins_of(net, x, y)
        box = pixel_box(x, self.epsilon, self.box_ends)
        done = Bounds(trace_network(net).fixed(), box)
        return estimated_margins(done, y, projections=self.projections)
