"""Consistency regularisation: near SmoothAdv's accuracy for the price of noise training."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Tensor

from rsmooth.defenses.trainer import Trainer
from rsmooth.objectives import check_answers, log_mean, naive
from rsmooth.registry import TRAINERS
from rsmooth.training.options import check_at_least_zero

Form = Literal["default", "xent", "kl", "mse"]


def consistency_loss(
    log_probs: Tensor,
    y: Tensor,
    weight: float = 10.0,
    entropy_weight: float = 0.5,
    form: Form = "default",
) -> Tensor:
    """Cross-entropy of the copies, and how far they differ: (B, m, K), (B,) -> (B,).

        consistency_loss(log_probs, y, weight=20.0)

    The sum of ``naive`` and ``consistency_penalty``, with its options. Jeong and Shin 2020
    (arXiv:2006.04062).
    """
    check_answers(y, log_probs)
    penalty = consistency_penalty(
        log_probs, consistency_weight=weight, entropy_weight=entropy_weight, form=form
    )
    return naive(log_probs, y) + penalty


def consistency_penalty(
    log_probs: Tensor,
    *,
    consistency_weight: float,
    entropy_weight: float,
    form: Form = "default",
) -> Tensor:
    """How far the noisy copies of an image differ, and how unsure they are: (B, m, K) -> (B,).

        consistency_penalty(log_probs, consistency_weight=10.0, entropy_weight=0.5)

    form, with Fbar the mean of the copies' probabilities F_i:
        "default": consistency_weight * mean_i KL(Fbar || F_i) + entropy_weight * H(Fbar).
        "xent": consistency_weight * mean_i (KL(Fbar || F_i) + H(Fbar)).
        "kl": consistency_weight * mean_i KL(Fbar || F_i).
        "mse": consistency_weight * ||F_1 - F_2||^2, of the first two copies.

    Jeong and Shin 2020 (arXiv:2006.04062), eq. 9 and 10; the other forms are in their code. The
    entropy_weight is of the first form alone. No form has NaN gradients where probabilities
    underflow.
    """
    if form not in get_args(Form):
        known = ", ".join(get_args(Form))
        raise ValueError(f"expected form to be one of {known}, got {form!r}")
    if form == "mse" and log_probs.shape[1] < 2:
        raise ValueError(
            f"expected two copies to compare by form='mse', got {tuple(log_probs.shape)}"
        )
    if form == "mse":
        first, second = log_probs[:, 0].exp(), log_probs[:, 1].exp()
        return consistency_weight * (first - second).square().sum(dim=1)
    log_of_mean = log_mean(log_probs)  # (B, K)
    mean = log_of_mean.exp()
    entropy = -(mean * log_of_mean).sum(dim=1)
    divergence = (mean.unsqueeze(1) * (log_of_mean.unsqueeze(1) - log_probs)).sum(dim=2).mean(dim=1)
    of_entropy = {"default": entropy_weight, "xent": consistency_weight, "kl": 0.0}
    return consistency_weight * divergence + of_entropy[form] * entropy


@TRAINERS.register("consistency")
@dataclass(frozen=True, kw_only=True)
class Consistency(Trainer):
    """Ask the noisy copies of an image for the same answer (Jeong and Shin 2020).

        Consistency(num_noise=2, consistency_weight=20.0)

    num_noise: copies per image, >= 2.
    consistency_weight, entropy_weight: as in ``consistency_penalty``, >= 0.
    form: of the penalty, "default", "xent", "kl" or "mse"; as there.

    loss = L(x + noise) + ``consistency_penalty``, arXiv:2006.04062. Published are two copies and
    weights of 10 (20 at sigma 0.25) and 0.5. With an attack such as SmoothAdvPGD it is their
    combination with SmoothAdv.
    """

    num_noise: int = 2
    consistency_weight: float = 10.0
    entropy_weight: float = 0.5
    form: Form = field(default="default", metadata={"added": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_noise < 2:
            raise ValueError(f"expected num_noise >= 2 copies to compare, got {self.num_noise}")
        check_at_least_zero(self, "consistency_weight", "entropy_weight")
        if self.form not in get_args(Form):
            known = ", ".join(get_args(Form))
            raise ValueError(f"expected form to be one of {known}, got {self.form!r}")

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        unused = {"entropy_weight": f"form={self.form!r}"} if self.form != "default" else {}
        return {**super().without_effect(extras), **unused}

    def loss(self, log_probs: Tensor, y: Tensor) -> Tensor:
        penalty = consistency_penalty(
            log_probs,
            consistency_weight=self.consistency_weight,
            entropy_weight=self.entropy_weight,
            form=self.form,
        )
        return super().loss(log_probs, y) + penalty
