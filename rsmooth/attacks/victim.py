"""The model under attack: what a search asks it, and what is measured meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rsmooth.attacks.l2 import Bounds
from rsmooth.smoothed import SmoothedClassifier


class Evaluation(NamedTuple):
    """What a search learns at one point x_adv (B, C, H, W).

        found = evaluate(x_adv)
        delta = delta + step_size * unit(found.gradient)

    loss (B,), which the attack climbs; log_probs (B, m, K); gradient (B, C, H, W). The gradient of
    an image is that of its own loss.
    """

    loss: Tensor
    log_probs: Tensor
    gradient: Tensor


Evaluate = Callable[[Tensor], Evaluation]


class Problem(NamedTuple):
    """One batch to attack, validated.

        x, y, bounds, generator = problem

    x: images (B, C, H, W). y: labels (B,). bounds: the box of valid pixels; None for no box.
    generator: for random starts.
    """

    x: Tensor
    y: Tensor
    bounds: Bounds | None
    generator: torch.Generator | None


class Attacked(NamedTuple):
    """What an attack made of a batch, and what was measured on it.

        found = attack.measured(g, x, y)

    x_adv: the attacked images (B, C, H, W).
    length: the norm of each perturbation (B,) in float64, in the attack's ``norm``.
    without_gradient: images (B,) that the attack never saw succeed, and for which every gradient
        that it asked for was zero: it was led by nothing.
    """

    x_adv: Tensor
    length: Tensor
    without_gradient: Tensor


class Victim:
    """A classifier under attack, with the noise of the whole attack.

        log_probs = victim.log_probs(x_adv)     # (B, C, H, W) -> (B, m, K)

    healthy (B,): whether all answers for an image were numbers so far.
    succeeds: of log-probabilities (B, m, K), on which images the attack succeeds (B,). Where it is
        given, the gradients in x are looked at, whoever asks for them.
    """

    def __init__(
        self,
        g: SmoothedClassifier,
        noise: Tensor | None,
        batch: Tensor,
        succeeds: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._g = g
        self._noise = noise
        self._succeeds = succeeds
        self.healthy = torch.ones(len(batch), dtype=torch.bool, device=batch.device)
        self._led = torch.zeros_like(self.healthy)
        self._asked = False

    @property
    def num_classes(self) -> int:
        """How many classes the classifier knows."""
        return self._g.num_classes

    @property
    def watched(self) -> bool:
        """Whether success and gradients are looked at."""
        return self._succeeds is not None

    @property
    def one_function(self) -> bool:
        """Whether all images of the batch are under the same noise, or under none."""
        return self._noise is None or len(self._noise) == 1 or self._noise.stride(0) == 0

    @property
    def without_gradient(self) -> Tensor:
        """Images (B,) without a success, all of whose gradients so far were zero.

        None where no gradient was asked for.
        """
        return ~self._led if self._asked else torch.zeros_like(self._led)

    def log_probs(self, x: Tensor) -> Tensor:
        """Log-probabilities under the attack's noise: (B, C, H, W) -> (B, m, K).

        The base classifier is attacked without noise; then m is 1.
        """
        watched = self._succeeds is not None and len(x) == len(self._led)
        if watched and x.requires_grad:
            x.register_hook(self._look)  # type: ignore[no-untyped-call]
        points = x.unsqueeze(1)
        log_probs = self._g.log_probs(points if self._noise is None else points + self._noise)
        self.healthy &= ~log_probs.detach().isnan().flatten(1).any(dim=1)
        if watched:
            assert self._succeeds is not None
            # A loss may well be flat there, and no gradient is needed any more.
            self._led |= self._succeeds(log_probs.detach())
        return log_probs

    def log_probs_anywhere(self, x: Tensor, image: int | None = None) -> Tensor:
        """Log-probabilities at any number of points, in any order: (N, C, H, W) -> (N, m, K).

        image: the one that the points are variations of, whose noise they are under. None where all
            images are under the same noise (``one_function``). Then it is not known which point is
            of which image. So a NaN at one of them counts for all images of the batch, and so does
            a gradient.
        """
        rows = slice(None) if image is None else slice(image, image + 1)
        if self.watched and x.requires_grad:
            x.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self._look_anywhere(rows, gradient)
            )
        points = x.unsqueeze(1)
        log_probs = self._g.log_probs(
            points if self._noise is None else points + self._noise[image or 0]
        )
        self.healthy[rows] &= ~log_probs.detach().isnan().any()
        return log_probs

    def _look_anywhere(self, rows: slice, gradient: Tensor) -> None:
        self._asked = True
        self._led[rows] |= (gradient != 0).any()

    def _look(self, gradient: Tensor) -> None:
        self._asked = True
        self._led |= (gradient != 0).flatten(1).any(dim=1)


def majority_vote(log_probs: Tensor) -> Tensor:
    """The class that most noise samples vote for: (B, m, K) -> (B,).

        majority_vote(g.log_probs(x.unsqueeze(1) + noise))

    In a tie it is the lowest class.
    """
    classes = torch.arange(log_probs.shape[2], device=log_probs.device)
    votes = log_probs.argmax(dim=2, keepdim=True) == classes
    return votes.sum(dim=1).argmax(dim=1)
