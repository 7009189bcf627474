"""Projected gradient descent in a ball of l2 or l-infinity, on the base or the smoothed g."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from rsmooth.attacks import l2, linf
from rsmooth.attacks.checks import check_steps
from rsmooth.attacks.gradient import GradientAttack
from rsmooth.attacks.victim import Evaluate, Problem
from rsmooth.registry import ATTACKS

Norm = Literal["l2", "linf"]
_GEOMETRIES = {"l2": l2, "linf": linf}


@ATTACKS.register("pgd")
@dataclass(frozen=True, kw_only=True)
class PGD(GradientAttack):
    """Projected gradient descent in the l2 or l-infinity ball, in steps of fixed length.

        x_adv = PGD(epsilon=0.5, steps=20)(g, x, y)  # on the base classifier
        x_adv = PGD(epsilon=2 / 255, steps=20, norm="linf")(g, x, y)
        x_adv = SmoothAdvPGD(epsilon=0.5, steps=20)(g, x, y, num_noise=64)

    steps: number of gradient steps, >= 1.
    step_size: length of a step, > 0, in [0, 1] pixel units; None is 2 * epsilon / steps.
    random_start: begin at a uniform point of the ball instead of at x.
    norm: of epsilon and of the steps, "l2" or "linf". An l-infinity step moves every pixel by
        step_size, along the sign of the gradient.

    Madry et al. 2018, arXiv:1706.06083. With target "smoothed" and objective "smoothadv" it is
    SmoothAdv-PGD (Salman et al. 2019, arXiv:1906.04584, section 2.2). The last iterate is returned.
    A gradient that vanishes is replaced by a fixed random direction. As in the published code, each
    step is first clamped to the box and then shortened to epsilon. foolbox does the reverse, which
    differs only for l2, where a pixel meets the box. ValueError for options out of range.
    """

    steps: int
    step_size: float | None = None
    random_start: bool = False
    # Said of a run only where it is not the default, which runs before it had.
    norm: Norm = field(default="l2", metadata={"added": True})  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)
        if self.norm not in _GEOMETRIES:
            raise ValueError(f"expected norm 'l2' or 'linf', got {self.norm!r}")
        if self.step_size is not None and not 0 < self.step_size < math.inf:
            raise ValueError(
                "expected a finite step_size > 0, or None for 2 * epsilon / steps, got "
                f"{self.step_size!r}"
            )

    def _search(self, evaluate: Evaluate, problem: Problem) -> Tensor:
        x, _, bounds, generator = problem
        step_size = 2 * self.epsilon / self.steps if self.step_size is None else self.step_size
        ball = _GEOMETRIES[self.norm]
        plateau = ball.plateau_direction(x)
        delta = torch.zeros_like(x)
        if self.random_start:
            delta = l2.clamp_to_box(x, ball.uniform_in_ball(x, self.epsilon, generator), bounds)
        for _ in range(self.steps):
            gradient = evaluate(x + delta).gradient
            delta = delta + step_size * ball.unit(gradient, plateau)
            delta = ball.project(l2.clamp_to_box(x, delta, bounds), self.epsilon)
        return delta


@ATTACKS.register("smoothadv-pgd")
def SmoothAdvPGD(  # noqa: N802 (a constructor)
    *,
    epsilon: float,
    steps: int,
    step_size: float | None = None,
    random_start: bool = False,
    targeted: bool = False,
    norm: Norm = "l2",
) -> PGD:
    """PGD on the smoothed classifier: SmoothAdv-PGD (Salman et al. 2019, eq. 6).

        x_adv = SmoothAdvPGD(epsilon=0.5, steps=20)(g, x, y, num_noise=64)

    The options are those of ``PGD``. It climbs -log of the mean probability of the label under
    noise (arXiv:1906.04584).
    """
    return PGD(
        target="smoothed",
        objective="smoothadv",
        epsilon=epsilon,
        steps=steps,
        step_size=step_size,
        random_start=random_start,
        targeted=targeted,
        norm=norm,
    )


@ATTACKS.register("naive-pgd")
def NaivePGD(  # noqa: N802 (a constructor)
    *,
    epsilon: float,
    steps: int,
    step_size: float | None = None,
    random_start: bool = False,
    targeted: bool = False,
    norm: Norm = "l2",
) -> PGD:
    """PGD on the base classifier's cross-entropy, averaged over the noise.

        x_adv = NaivePGD(epsilon=0.5, steps=20)(g, x, y, num_noise=64)

    The options are those of ``PGD``. This is expectation over transformation (Athalye et al. 2018,
    arXiv:1707.07397), with the noise as the transformation.
    """
    return PGD(
        target="smoothed",
        objective="naive",
        epsilon=epsilon,
        steps=steps,
        step_size=step_size,
        random_start=random_start,
        targeted=targeted,
        norm=norm,
    )
