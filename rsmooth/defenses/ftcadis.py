"""FT-CADIS: train on the copies that are right, and against the worst noise where all are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rsmooth.defenses.catrs import worst_noise
from rsmooth.defenses.trainer import Trainer
from rsmooth.objectives import check_answers, log_mean
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.options import check_at_least_zero, check_no_attack, check_own_loss


def ftcadis_loss(
    clean: Tensor, adversarial: Tensor, y: Tensor, weight: float = 1.0, warm_start: bool = True
) -> Tensor:
    """Cross-entropy of the copies that are right, and the worst divergence from their mean: (B,).

        ftcadis_loss(clean, adversarial, y, weight=1.0, warm_start=True)

    clean, adversarial: log-probabilities (B, m, K) under plain and under attacked noise.
    weight: of the second term. warm_start: whether the copy of least cross-entropy counts where
        none is right.

    1/m * (sum of CE(F_i, y) over the copies that are right), and where all are right also
    weight * max_i KL(Fbar || F(x + worst noise_i)). Gradients flow through Fbar. Jang et al. 2024
    (arXiv:2411.08933).
    """
    check_answers(y, clean, adversarial)
    right = clean.argmax(dim=2) == y.unsqueeze(1)
    each = -clean.gather(2, y.view(-1, 1, 1).expand(-1, clean.shape[1], 1)).squeeze(2)
    counts = right
    if warm_start:
        least = torch.zeros_like(right).scatter(1, each.argmin(dim=1, keepdim=True), True)
        counts = right | (least & ~right.any(dim=1, keepdim=True))
    selective = torch.where(counts, each, 0.0).mean(dim=1)
    mean = log_mean(clean).unsqueeze(1)
    apart = (mean.exp() * (mean - adversarial)).sum(dim=2).amax(dim=1)
    return selective + weight * torch.where(right.all(dim=1), apart, 0.0)


@TRAINERS.register("ft-cadis")
@dataclass(frozen=True, kw_only=True)
class FTCadis(Trainer):
    """Select copies by the classifier's own confidence, without a teacher (Jang et al. 2024).

        FTCadis(num_noise=4, weight=1.0)

    epsilon, steps: of the search for the worst noise, as in CAT-RS.
    weight: of the adversarial term, >= 0.
    warm_start: as in ``ftcadis_loss``.
    behind_denoiser: whether the base is a "denoised" model, whose classifier trains on the denoised
        copies while the denoiser stays as it is. The search then starts at what the denoiser left
        of the noise.

    loss = ``ftcadis_loss``, arXiv:2411.08933. The two passes are over the plain copies and over
    those with the worst noise, which is sought against the mean answer Fbar of the first. Published
    is fine-tuning behind a denoiser on images in [-1, 1]: their epsilon of 64/256 is 0.125 here.
    ValueError for an attack, and for a train_loss.
    """

    num_noise: int = 4
    epsilon: float = 0.125
    steps: int = 4
    weight: float = 1.0
    warm_start: bool = True
    behind_denoiser: bool = False

    soft_labels: ClassVar[bool] = False
    warms_up: ClassVar[bool] = False
    searches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.behind_denoiser and "denoiser" not in self.frozen_parts:
            object.__setattr__(self, "frozen_parts", (*self.frozen_parts, "denoiser"))
        super().__post_init__()
        check_no_attack(self)
        check_own_loss(self)
        check_at_least_zero(self, "epsilon", "steps", "weight")

    def losses(self, batch: Batch) -> Tensor:
        clean = batch.log_probs(batch.x.unsqueeze(1) + batch.noise)
        mean = log_mean(clean.detach()).exp()
        if self.behind_denoiser:
            adversarial = self._behind(batch, mean)
        else:
            noise = worst_noise(batch.g, batch.x, mean, batch.noise, **self._search)
            adversarial = batch.log_probs(batch.x.unsqueeze(1) + noise)
        return ftcadis_loss(clean, adversarial, batch.y, self.weight, self.warm_start)

    @property
    def _search(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "steps": self.steps}

    def _behind(self, batch: Batch, mean: Tensor) -> Tensor:
        """The classifier's answers to the denoised copies, moved to where they are worst."""
        x, shape = batch.x.unsqueeze(1), batch.noise.shape
        with torch.no_grad():
            denoised = batch.through("denoiser", (x + batch.noise).flatten(0, 1)).view(shape)
        classifier = batch.views.attacked_part("classifier")
        offset = worst_noise(classifier, batch.x, mean, denoised - x, **self._search)
        logits = batch.through("classifier", (x + offset).flatten(0, 1))
        return logits.log_softmax(dim=1).view(*shape[:2], -1)
