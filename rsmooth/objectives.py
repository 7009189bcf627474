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


def check_answers(y: Tensor, *log_probs: Tensor) -> None:
    """ValueError unless labels are (B,), and every tensor of answers (B, m, K) alike in B and K.

        check_answers(y, clean, mixed)

    log_probs: one or several. Labels out of range are not looked for.
    """
    shapes = [tuple(answers.shape) for answers in log_probs]
    fitting = all(len(shape) == 3 and shape[0] == len(y) for shape in shapes) and y.ndim == 1
    if not fitting or len({shape[-1] for shape in shapes}) != 1:
        raise ValueError(
            "expected labels (B,) and log-probabilities (B, m, K) of the same B and K, got "
            f"{tuple(y.shape)} and {', '.join(map(str, shapes))}; an axis of copies is needed even "
            "for one copy: log_probs.unsqueeze(1)"
        )


def check_columns(y: Tensor, **columns: tuple[Tensor, tuple[int, ...]]) -> None:
    """ValueError unless every further column is as long as the labels (B,) and of its shape.

        check_columns(y, mixing=(mixing, ()), soft_labels=(soft_labels, (num_classes,)))

    columns: by name, each with the shape of one of its rows.
    """
    for name, (column, row) in columns.items():
        if tuple(column.shape) != (len(y), *row):
            raise ValueError(
                f"expected {name} of shape {(len(y), *row)}, one row per image, got "
                f"{tuple(column.shape)}"
            )


def log_mean(log_probs: Tensor) -> Tensor:
    """The log of the mean probability over the copies: (B, m, K) -> (B, K).

        log_mean(log_probs)     # log Fbar

    It is computed as logsumexp - log m, which stays exact where probabilities underflow.
    """
    return log_probs.logsumexp(dim=1) - math.log(log_probs.shape[1])


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
