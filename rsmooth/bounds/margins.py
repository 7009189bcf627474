"""Margins: lower bounds of z_y - z_k over a box, by the method of one's choice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rsmooth.bounds.interval import pixel_box
from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import MEMORY, BoundedPass, Bounds
from rsmooth.bounds.tracing import trace_network
from rsmooth.plumbing.tensors import Labels, check_images, check_labels


def margin_bounds(
    net: nn.Module,
    x: Tensor,
    y: Labels,
    *,
    epsilon: float | Tensor,
    method: Method = "crown-ibp",
    clip: tuple[float, float] | None = (0.0, 1.0),
    intersect: bool = False,
    memory: int = MEMORY,
) -> Tensor:
    """Lower bounds (B, K) of z_y - z_k for all images within epsilon in l_inf; 0 at k = y.

        margins = margin_bounds(net, x, y, epsilon=2 / 255, method="crown-ibp")

    net: (B, C, H, W) -> logits (B, K), as ``trace_network`` takes it. In train mode batch norm has
        the statistics of ``x``; its running statistics do not move.
    x: images in [0, 1]. y: labels (B,).
    epsilon: >= 0, in pixel units, before the network's own normalisation.
    method: "ibp", intervals; "crown-ibp", one backward pass whose pre-activations are bounded by
        intervals; "crown" and "fast-lin", bounded by backward passes too, layer by layer.
    clip: the ends of pixel values, with which the box is cut; None to leave it whole.
    intersect: cut the pre-activation bounds of crown and fast-lin with those of intervals. Rows are
        then for those neurons alone that intervals leave unstable.
    memory: bytes for the coefficients of crown and fast-lin.

    Differentiable. All margins > 0 (k = y aside) say that no image of the box gets another answer,
    up to the rounding of this computation; ``rsmooth certify`` accounts for that. The last linear
    layer is merged into the rows e_y - e_k. ValueError for an unknown layer, which it names, max
    pooling with another method than ibp, images off [0, 1] and epsilon < 0.

    Gowal et al. 2018 (arXiv:1810.12715); Zhang et al. 2020 (arXiv:1906.06316, CROWN-IBP), eq. 8;
    Zhang et al. 2018 (arXiv:1811.00866, CROWN), theorem 3.2; Wong & Kolter 2018 (arXiv:1711.00851),
    theorem 1, whose dual bound is fast-lin's.
    """
    check_images(x)
    check_epsilon(epsilon)
    _check_precision(net, x)
    graph, box = trace_network(net), pixel_box(x, epsilon, clip)
    if graph.changes_with_the_batch:
        bounds: Bounds = BoundedPass(graph, box, x=x, update=False, memory=memory)
    else:
        bounds = Bounds(graph.fixed(), box, memory=memory)
    y = check_labels(y, len(x), bounds.intervals[-1].shape[1]).to(x.device)
    return bounds.margins(y, method, intersect=intersect)


def check_epsilon(epsilon: float | Tensor) -> None:
    """ValueError for an epsilon, or a tensor of them, that is not finite and >= 0."""
    values = epsilon if isinstance(epsilon, Tensor) else torch.tensor(epsilon, device="cpu")
    if not bool((values.isfinite() & (values >= 0)).all()):
        raise ValueError(f"expected a finite epsilon >= 0 in [0,1] pixel units, got {epsilon!r}")


def _check_precision(net: nn.Module, x: Tensor) -> None:
    """Bounds in half precision would mean little, and mixed ones fail in odd places."""
    kinds = {x.dtype, *(weight.dtype for weight in net.parameters())}
    if len(kinds) != 1 or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            "expected images and network of one precision, float32 or float64, got "
            f"{', '.join(sorted(map(str, kinds)))}; convert both with .float()"
        )
