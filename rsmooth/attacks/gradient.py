"""Attacks that follow the gradient of an objective."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack
from rsmooth.attacks.victim import Evaluate, Evaluation, Problem, Victim, majority_vote
from rsmooth.objectives import Objective, resolve_objective


@dataclass(frozen=True, kw_only=True)
class GradientAttack(Attack):
    """An attack that follows the gradient of an objective.

        class OneStep(GradientAttack):
            def _search(self, evaluate, problem):
                return self.epsilon * l2.unit(evaluate(problem.x).gradient)

    objective: a registered name, or a function (log_probs (B, m, K), y (B,)) -> loss (B,). The
        attack climbs it; a targeted attack descends it.

    A subclass writes ``_search``, one loop, and is handed all else.
    """

    recordable: ClassVar[bool] = True

    objective: str | Objective = "naive"

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_objective(self.objective)

    @abstractmethod
    def _search(self, evaluate: Evaluate, problem: Problem) -> Tensor:
        """The perturbation (B, C, H, W) found by querying ``evaluate`` at points x_adv."""

    @final
    def _perturb(self, victim: Victim, problem: Problem) -> Tensor:
        objective = resolve_objective(self.objective)
        sign = -1.0 if self.targeted else 1.0

        def evaluate(x_adv: Tensor) -> Evaluation:
            point = x_adv.detach().requires_grad_()
            log_probs = victim.log_probs(point)
            if not log_probs.requires_grad:
                raise ValueError(
                    "expected a base classifier that is differentiable in its input, got an output "
                    "without gradient; look for a no_grad or detach inside it"
                )
            loss = sign * objective(log_probs, problem.y)
            (gradient,) = torch.autograd.grad(loss.sum(), point)
            victim.healthy &= gradient.isfinite().flatten(1).all(dim=1)
            return Evaluation(loss.detach(), log_probs.detach(), gradient)

        return problem.x + self._search(evaluate, problem)

    def _is_adversarial(self, log_probs: Tensor, y: Tensor) -> Tensor:
        """Whether most noise samples vote as the attack wants: (B, m, K), (B,) -> bool (B,)."""
        reached = majority_vote(log_probs) == y
        return reached if self.targeted else ~reached
