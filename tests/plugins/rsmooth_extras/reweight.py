"""Draw images more often the less sure the classifier is of them under noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth import Trainer
from rsmooth.training import EpochStart


@dataclass(frozen=True, kw_only=True)
class HardImages(Trainer):
    """From epoch ``since`` on, weigh by the share of wrong votes; drop what is never right."""

    since: int = 1
    copies: int = 8

    def sample_weights(self, start: EpochStart) -> Tensor | None:
        if start.epoch < self.since:
            return None
        right = torch.zeros(start.count)
        for seen in start.images(copies=self.copies):
            votes = start.g.log_probs(seen.x.unsqueeze(1) + seen.noise).argmax(dim=2)
            right[seen.positions] = (votes == seen.y[:, None]).float().mean(dim=1).cpu()
        kept = start.state.setdefault("kept", right > 0)
        return torch.where(kept & torch.tensor(bool(kept.any())), 1.5 - right, 0.01)
