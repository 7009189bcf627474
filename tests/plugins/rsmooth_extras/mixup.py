"""Mixing with grey: two passes over one mini-batch, and a weight drawn for each image."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import one_hot

from rsmooth import Trainer, naive
from rsmooth.training import Batch


@dataclass(frozen=True, kw_only=True)
class GreyMixup(Trainer):
    """Train on noisy images, and on mixtures with grey, which are to be as unsure as grey."""

    mixing_weight: float = 1.0

    def losses(self, batch: Batch) -> Tensor:
        noisy = batch.log_probs(batch.perturb().unsqueeze(1) + batch.noise)
        share = 0.5 * batch.uniform("grey", 1).to(batch.x.dtype)  # (B, 1)
        x_mix = batch.x.lerp(0.5 + 0 * batch.x, share[:, :, None, None])
        mixed = batch.log_probs(x_mix.unsqueeze(1) + batch.noise)
        classes = mixed.shape[2]
        target = (1 - share) * one_hot(batch.y, classes) + share / classes
        unsure = -(target.unsqueeze(1) * mixed).sum(dim=2).mean(dim=1)
        return naive(noisy, batch.y) + self.mixing_weight * unsure
