"""The classifier as a step sees it: in train mode for the loss, in eval mode for the attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from rsmooth.attacks.view import PrecisionView
from rsmooth.bounds.graph import Graph
from rsmooth.bounds.tracing import trace_network
from rsmooth.models.folding import fold_batchnorm, refold
from rsmooth.models.precision import Precision, autocast
from rsmooth.models.state import copied, dtype_of
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.parts import named_part


class Views:
    """Two views that share g's weights.

    g: the classifier in training.
    trained: its base as passes for the loss go through it, such as compiled.
    base: the same without compilation, which a method is given.
    fold: whether the eval-mode view has its batch norm folded into the convolutions. Otherwise it
        shares the memory of the weights, where the base allows it.
    """

    def __init__(
        self,
        g: SmoothedClassifier,
        trained: nn.Module,
        base: nn.Module,
        precision: Precision,
        *,
        fold: bool,
    ) -> None:
        self.noise: NoiseDistribution = g.noise
        self._precision = precision
        self.module = base
        device = self._device = next(g.base.parameters()).device
        self._source = g.base
        looking = None if fold else _looker(g.base)
        self._fold = looking is None
        self._trained = PrecisionView(g, trained, precision, device)
        self._attacked = PrecisionView(
            g, fold_batchnorm(g.base) if looking is None else looking, precision, device
        )
        self._attacked.eval()
        self._stale = True
        self._graph: Graph | None = None

    def log_probs(self, points: Tensor) -> Tensor:
        """A pass in train mode, after which the folded view is out of date."""
        self._stale = True
        return self._trained.log_probs(points)

    def touched(self) -> nn.Module:
        """The base in train mode; who is given it may move its statistics."""
        self._stale = True
        return self.module

    def through(self, part: str, images: Tensor) -> Tensor:
        """The output of a part of the base, in its present mode and the run's precision.

        Images of another floating-point type than the part's are converted to its own.
        """
        own = named_part(self.touched(), part)
        with autocast(self._precision, images.device):
            output: Tensor = own(images.to(dtype_of(own, images.dtype)))
        return output.float() if output.dtype in (torch.float16, torch.bfloat16) else output

    def attacked_part(self, part: str) -> SmoothedClassifier:
        """The eval-mode view of a part of the base that is a classifier by itself."""
        whole = self.attacked()
        seen = PrecisionView(whole, named_part(whole.base, part), self._precision, self._device)
        return seen.eval()

    def graph(self) -> Graph:
        """The steps of the base in train mode, for bounds; a pass of it may move statistics."""
        self._stale = True
        if self._graph is None:
            self._graph = trace_network(self.module)
        return self._graph

    def attacked(self) -> SmoothedClassifier:
        """The eval-mode view, up to date."""
        if self._fold and self._stale:
            refold(self._attacked.base, self._source)
        self._stale = False
        return self._attacked

    def weights_moved(self) -> None:
        """After an optimiser step."""
        self._stale = True


def _looker(base: nn.Module) -> nn.Module | None:
    """A copy of the module tree around the same memory, whose parameters ask for no gradient.

    None where there is no such copy: that of a traced base has memory of its own.
    """
    found = same_memory(base, lambda tensor: nn.Parameter(tensor.detach(), requires_grad=False))
    pairs = zip(_tensors(base), _tensors(found), strict=True)
    return found if all(own.data_ptr() == same.data_ptr() for own, same in pairs) else None


def _tensors(base: nn.Module) -> Iterator[Tensor]:
    return chain(base.parameters(), base.buffers())


def same_memory(
    base: nn.Module, parameter: Callable[[nn.Parameter], nn.Parameter] = lambda own: own
) -> nn.Module:
    """A copy of the module tree around the very same parameters and buffers.

    parameter: what each parameter becomes in the copy.
    """
    memo: dict[int, object] = {id(buffer): buffer for buffer in base.buffers()}
    memo |= {id(own): parameter(own) for own in base.parameters()}
    return copied(base, memo)
