"""A moving average of the weights, which is then validated and saved in their place."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rsmooth.models.checkpoints import load_weights
from rsmooth.models.state import copied
from rsmooth.smoothed import SmoothedClassifier

Tensors = tuple[Tensor, ...] | list[Tensor]
# What a record of training says of the average, so that no run goes on with another rule.
RULE = "decay min(ema_decay, (1 + t) / (10 + t)) after t updates"


class MovingAverage:
    """The average <- d * average + (1 - d) * weights after every step.

    d = min(decay, (1 + t) / (10 + t)) after t updates, so that the first weights are soon
    forgotten: with a decay of 0.999 alone they would be half of the average after 700 steps.
    Buffers are averaged too. The first update copies. It is the exponential form of Polyak and
    Juditsky 1992, with the growing decay of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, g: SmoothedClassifier, decay: float) -> None:
        self._decay = decay
        self._averaged = AveragedModel(nn.Module(), multi_avg_fn=self._blend, use_buffers=True)
        # A copy of torch's own making would fail where a base keeps a lock or activations.
        self._averaged.module = copied(g.base)
        self.g = g.around(self._averaged.module)

    def _blend(self, averaged: Tensors, weights: Tensors, _: object) -> None:
        # The count in the buffer is on the CPU; the one that torch hands over may not be.
        done = int(self._averaged.n_averaged)
        update: Any = get_ema_multi_avg_fn
        update(min(self._decay, (1 + done) / (10 + done)))(averaged, weights, None)

    def update(self, base: nn.Module) -> None:
        """Add the present weights to the average."""
        self._averaged.update_parameters(base)

    def state(self) -> dict[str, Any]:
        """As plain values and tensors, for a checkpoint."""
        return {"weights": self.g.base.state_dict(), "updates": int(self._averaged.n_averaged)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken; errors as of ``load_weights``."""
        load_weights(self.g.base, state["weights"], source="the checkpoint's average")
        self._averaged.n_averaged.fill_(state["updates"])

    def hand_over(self, base: nn.Module) -> None:
        """Put the averaged weights into ``base``."""
        load_weights(base, self.g.base.state_dict(), source="the average of the weights")
