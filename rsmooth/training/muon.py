"""Muon: momentum steps whose matrices are made orthogonal first; AdamW for all other parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rsmooth.plumbing.machine import computes_bfloat16

# Of Newton and Schulz' iteration, chosen for a steep start: singular values end near 1, not at it.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(Optimizer):
    """Hidden matrices by Muon, and all else by AdamW, with one learning rate.

        Muon(base.parameters(), lr=0.006, momentum=0.95, nesterov=True, weight_decay=0.1)

    Hidden are the parameters of two dimensions or more, but for the first and the last of them,
    those of the first layer and of the head. The kernels of a convolution are the matrix
    (C_out, C_in * height * width).
    lr: of both, > 0. A step of a matrix has the root mean square 0.2 lr, about that of AdamW's, so
        what suits AdamW suits this.
    momentum: of the matrices, in [0, 1); the first beta of AdamW. nesterov: of the matrices.
    weight_decay: of all, decoupled.

    ``adamw`` is the part that moves all else; it shares this optimiser's state.

    Jordan et al. 2024 (Muon), the scale and the decay of Liu et al. 2025 (arXiv:2502.16982),
    Loshchilov and Hutter 2019 (arXiv:1711.05101). Torch's own Muon takes no kernels.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        hidden = hidden_matrices(parameters)
        matrices = {id(parameter) for parameter in hidden}
        others = [each for each in parameters if id(each) not in matrices]
        shared: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
        betas = (momentum, 0.999)
        self.adamw = torch.optim.AdamW([{"params": others}], betas=betas, fused=True, **shared)
        options = {**shared, "momentum": momentum, "nesterov": nesterov}
        super().__init__([*self.adamw.param_groups, {"params": hidden, **options}], {})
        self._share()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "adamw": self.adamw}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """AdamW works on this optimiser's own state, so that one state is saved and restored."""
        self.adamw.state, self.adamw.param_groups = self.state, self.param_groups[:1]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of all parameters that have gradients."""
        loss: float | None = self.adamw.step(closure)
        group = self.param_groups[1]
        for parameter in group["params"]:
            if parameter.grad is not None:
                self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: nn.Parameter, grad: Tensor, group: dict[str, Any]) -> None:
        state, momentum = self.state[parameter], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        mean: Tensor = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        ahead = grad.lerp(mean, momentum) if group["nesterov"] else mean
        step = orthogonal(ahead.reshape(len(ahead), -1))
        size = 0.2 * math.sqrt(max(step.shape))
        # The rate is a tensor in a recorded step, which no keyword alpha takes.
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(step.to(parameter.dtype).reshape(parameter.shape) * (group["lr"] * size))


def hidden_matrices(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """Those of two dimensions or more, in order, without the first and the last of them.

    hidden_matrices(list(base.parameters()))
    """
    return [parameter for parameter in parameters if parameter.ndim >= 2][1:-1]


def orthogonal(matrix: Tensor) -> Tensor:
    """Roughly the nearest matrix with orthogonal rows or columns: (A, B) -> (A, B).

        orthogonal(momentum)

    Singular values come to lie between 0.7 and 1.2. In bfloat16; in float32 on a CPU without
    instructions for bfloat16, which would take many times longer. Jordan et al. 2024, by Newton and
    Schulz.
    """
    a, b, c = COEFFICIENTS
    emulated = matrix.device.type == "cpu" and not computes_bfloat16(matrix.device)
    x = matrix.to(torch.float32 if emulated else torch.bfloat16)
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
