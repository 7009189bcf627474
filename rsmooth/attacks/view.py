"""The classifier as a search sees it: the same function up to rounding, several times faster."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsmooth.models.folding import fold_batchnorm
from rsmooth.models.memory import channels_last
from rsmooth.models.precision import Precision, autocast, check_precision, resolve_precision
from rsmooth.models.state import without_inference_tensors
from rsmooth.smoothed import SmoothedClassifier


class PrecisionView(SmoothedClassifier):
    """A smoothed classifier whose passes all run in one precision.

        PrecisionView(g, base, "bfloat16", device)

    base: what takes the place of g's base.

    Noise that is frozen for g is frozen for the view too.
    """

    def __init__(
        self, g: SmoothedClassifier, base: nn.Module, precision: Precision, device: torch.device
    ) -> None:
        super().__init__(base, num_classes=g.num_classes, noise=g.noise, num_noise=g.num_noise)
        self._precision: Precision = precision
        self._device = device
        self._frozen = g._frozen

    def log_probs(self, points: Tensor) -> Tensor:
        with autocast(self._precision, self._device):
            return super().log_probs(points)


def quick_view(g: SmoothedClassifier, x: Tensor, precision: Precision) -> SmoothedClassifier:
    """G as ``precision`` says, for searches in its eval mode.

        quick_view(g, x, "auto").log_probs(points)

    x: a few images (B, C, H, W), for the operations that they need.
    precision: "float32" is g itself, as it is. The others are a copy with batch norm folded and
        channels last: "bfloat16" computes its convolutions and matrix products in that, "auto" does
        so where ``resolve_precision`` finds that it pays, the model is of float32, and it has
        noise: without, logits that tie in bfloat16 would change answers within what is certified.

    The copy is of g's present weights. "auto" leaves a subclass of SmoothedClassifier as it is, and
    a base of which no such copy runs. ValueError for another precision, and for a subclass in
    bfloat16.
    """
    check_precision(precision)
    if precision == "float32":
        return g
    if type(g) is not SmoothedClassifier:
        if precision == "auto":
            return g
        raise ValueError(
            f"expected a plain SmoothedClassifier for bfloat16, got {type(g).__name__}, which may "
            "answer in a way of its own; use precision='float32'"
        )
    with torch.inference_mode(False):  # whose tensors have no gradients
        g = without_inference_tensors(g)
        chosen: Precision = precision
        if precision == "bfloat16":
            chosen = resolve_precision(precision, g.base, x)  # warns where it is only emulated
        elif precision == "auto":
            types = {p.dtype for p in g.base.parameters() if p.is_floating_point()}
            may_round = types == {torch.float32} and g.noise.scale_value > 0
            chosen = resolve_precision("auto", g.base, x.float()) if may_round else "float32"
        base = channels_last(fold_batchnorm(g.base))
        view = PrecisionView(g, base, chosen, x.device).eval()
        return g if precision == "auto" and not _runs(view, x) else view


@torch.no_grad()
def _runs(view: SmoothedClassifier, x: Tensor) -> bool:
    """Whether the copy takes images: a ``view`` of activations may need them channels first."""
    try:
        view.log_probs(x[:2].float().unsqueeze(1))
    # Whatever a layer raises, it means no.
    except Exception:
        return False
    return True
