"""Objectives: how the log-probabilities of the m noisy copies of an image become one loss.

Both are pure functions of ``log_probs`` (B, m, K) and labels ``y`` (B,). They serve as an attack's
objective and as a training loss alike. For m = 1 they are equal. For m > 1, smoothadv <= naive
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
    """Mean over the noise of -log F_y: the base classifier's cross-entropy, averaged.

        loss = naive(g.log_probs(x.unsqueeze(1) + noise), y)

    log_probs: (B, m, K). y: labels (B,). Returns one loss per image, (B,).

    The published SmoothAdv code trains with it. An attack of expectation over transformation climbs
    it.
    """
    return -_of_label(log_probs, y).mean(dim=1)


@OBJECTIVES.register("smoothadv")
def smoothadv(log_probs: Tensor, y: Tensor) -> Tensor:
    """-log of the mean over the noise of F_y: the smoothed classifier's cross-entropy.

        loss = smoothadv(g.log_probs(x.unsqueeze(1) + noise), y)

    log_probs: (B, m, K). y: labels (B,). Returns one loss per image, (B,).

    Salman et al. 2019 (arXiv:1906.04584), eq. 6: the Monte-Carlo estimate of -log E[F(x +
    noise)_y]. It is computed as log m - logsumexp, which stays exact where all m probabilities
    underflow.
    """
    return math.log(log_probs.shape[1]) - _of_label(log_probs, y).logsumexp(dim=1)


def resolve_objective(objective: str | Objective) -> Objective:
    """An objective that is given as a registered name or as the function itself.

        resolve_objective("smoothadv")(log_probs, y)

    RegistryError for an unknown name, ValueError for what is neither.
    """
    if isinstance(objective, str):
        return OBJECTIVES.get(objective)
    if not callable(objective):
        raise ValueError(
            "expected the name of an objective, or a function of log-probabilities (B, m, K) and "
            f"labels (B,), got {objective!r}"
        )
    return objective
