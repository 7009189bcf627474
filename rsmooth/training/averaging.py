"""A moving average of the weights, which is then validated and saved in their place."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rsmooth.models.checkpoints import load_weights
from rsmooth.smoothed import SmoothedClassifier


class MovingAverage:
    """The average <- decay * average + (1 - decay) * weights after every step.

    Buffers are averaged too. The first update copies. It is the exponential form of Polyak and
    Juditsky 1992.
    """

    def __init__(self, g: SmoothedClassifier, decay: float) -> None:
        update: Any = get_ema_multi_avg_fn
        self._averaged = AveragedModel(g.base, multi_avg_fn=update(decay), use_buffers=True)
        self.g = g.around(self._averaged.module)

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
