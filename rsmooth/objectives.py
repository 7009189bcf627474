"""Objectives: how the log-probabilities of m noisy copies of an image become one loss for that
image.

Both are pure functions of ``log_probs`` (B, m, K) and labels ``y`` (B,), and serve as an attack's
objective and as a training loss alike. For m = 1 they are equal; for m > 1, smoothadv <= naive
(Jensen's inequality).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from rsmooth.registry import OBJECTIVES

Objective = Callable[[Tensor, Tensor], Tensor]


def _of_label(log_probs: Tensor, y: Tensor) -> Tensor:
    """The log-probability of the label: (B, m, K), (B,) -> (B, m)."""
    index = y.view(-1, 1, 1).expand(-1, log_probs.shape[1], 1)
    return log_probs.gather(2, index).squeeze(2)


@OBJECTIVES.register("naive")
def naive(log_probs: Tensor, y: Tensor) -> Tensor:
    """Mean over the noise of -log F_y: the cross-entropy of the base classifier, averaged; (B, m,
    K), (B,) -> (B,).

    What the published SmoothAdv code trains with, and what an expectation-over-transformation
    attack climbs.
    """
    return -_of_label(log_probs, y).mean(dim=1)


@OBJECTIVES.register("smoothadv")
def smoothadv(log_probs: Tensor, y: Tensor) -> Tensor:
    """-log of the mean over the noise of F_y: the cross-entropy of the smoothed classifier; (B, m,
    K), (B,) -> (B,).

    Salman et al. 2019 (arXiv:1906.04584), eq. (6): the Monte-Carlo estimate of -log E[F(x +
    noise)_y]. Computed as log m - logsumexp, which stays exact where all m probabilities underflow.
    """
    return math.log(log_probs.shape[1]) - _of_label(log_probs, y).logsumexp(dim=1)


def resolve_objective(objective: str | Objective) -> Objective:
    """An objective given as a registered name or as the function itself."""
    return OBJECTIVES.get(objective) if isinstance(objective, str) else objective
