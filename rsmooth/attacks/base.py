"""What every attack shares: the public call, the model under attack, and the gradient."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor

from rsmooth.attacks.l2 import Bounds
from rsmooth.attacks.norms import norm_of, order_of, rounding
from rsmooth.attacks.view import quick_view
from rsmooth.models.precision import Precision
from rsmooth.models.state import frozen as frozen
from rsmooth.models.state import without_inference_tensors
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.objectives import Objective, resolve_objective
from rsmooth.plumbing.declared import settle_fields
from rsmooth.plumbing.numbers import check_integer
from rsmooth.plumbing.tensors import (
    channels_taken,
    check_generator,
    check_images,
    check_labels,
    check_tensor,
)
from rsmooth.smoothed import SmoothedClassifier, check_smoothed


class Evaluation(NamedTuple):
    """What a search learns at one point x_adv (B, C, H, W).

        found = evaluate(x_adv)
        delta = delta + step_size * unit(found.gradient)

    The attack climbs the loss. The gradient of an image is that of its own loss.
    """

    loss: Tensor  # (B,)
    log_probs: Tensor  # (B, m, K)
    gradient: Tensor  # (B, C, H, W)


Evaluate = Callable[[Tensor], Evaluation]


class Problem(NamedTuple):
    """One batch to attack, validated.

        x, y, bounds, generator = problem

    bounds: the box of valid pixels; None for no box. generator: for random starts.
    """

    x: Tensor  # (B, C, H, W)
    y: Tensor  # (B,)
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

    def _look(self, gradient: Tensor) -> None:
        self._asked = True
        self._led |= (gradient != 0).flatten(1).any(dim=1)


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """A search for a perturbation of norm <= epsilon that changes a classifier's answer.

        attack = SmoothAdvPGD(epsilon=0.5, steps=20)
        x_adv = attack(g, x, y, num_noise=64)

    epsilon: largest norm of the perturbation, >= 0, in [0, 1] pixel units.
    target: what is attacked: the "base" classifier at the image, or the "smoothed" one under noise.
    targeted: whether y names the class to reach instead of the class to leave.

    An attack is a value. It holds neither a model nor noise, and ``dataclasses.replace`` makes a
    variation. A subclass writes ``_perturb``. One that follows a gradient derives from
    GradientAttack. ValueError for options out of range.
    """

    # The norm that epsilon is measured in.
    norm: ClassVar[str] = "l2"
    # Whether the attack's kernels may be recorded as a CUDA graph.
    recordable: ClassVar[bool] = False

    epsilon: float
    target: Literal["base", "smoothed"] = "base"
    targeted: bool = False

    def __post_init__(self) -> None:
        settle_fields(self)
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ValueError(
                f"expected a finite epsilon >= 0 in [0,1] pixel units, got {self.epsilon!r}"
            )
        if self.target not in ("base", "smoothed"):
            raise ValueError(f"expected target 'base' or 'smoothed', got {self.target!r}")
        order_of(self.norm)

    @final
    def __call__(
        self,
        g: SmoothedClassifier,
        x: Tensor,
        y: Tensor,
        *,
        noise: Tensor | None = None,
        num_noise: int = 1,
        bounds: Bounds | None = (0.0, 1.0),
        generator: torch.Generator | None = None,
        validate: bool = True,
        precision: Precision = "float32",
    ) -> Tensor:
        """Attacked images (B, C, H, W), detached, with the dtype and on the device of x.

            x_adv = attack(g, x, y, num_noise=64)
            x_adv = attack(g, x, y, noise=g.sample_noise(x, 64))

        x: images (B, C, H, W) within ``bounds``, of any floating-point type. float16 and bfloat16
            are searched in float32, and the result is rounded to them.
        y: labels (B,), the classes to leave; of a targeted attack, those to reach.
        noise: (B, m, C, H, W), fixed for the whole attack; drawn once from g if None. The base
            target sees none.
        num_noise: samples per image (m) to draw where no noise is given. Within ``g.frozen_noise``
            the frozen noise is attacked, unless num_noise is neither 1 nor that of the context.
        bounds: the box of valid pixels. None switches it off, for points outside of any box.
        generator: source of the noise and of random starts; None is torch's own.
        validate: False omits the checks that wait for the device: ranges of x and y, and NaN in the
            result. An image whose evaluation had a NaN then comes back as NaN. So does, on a GPU,
            one whose perturbation is longer than epsilon.
        precision: of the search. "float32" asks the model as it is. What holds between attacks and
            classifiers exactly holds in it. "auto" asks a copy with batch norm folded and channels
            last, in bfloat16 where the machine has it and the model is large. It is the same
            function up to rounding, and 2 to 4 times faster. "bfloat16" asks for that. The result
            is images: whether they succeed is for the function that is reported to say.

        Meanwhile the model is in eval mode and its parameters are frozen. Both are restored, also
        after an error, and by the last one where several threads attack one model. It works within
        ``torch.no_grad`` and ``torch.inference_mode`` too. ValueError for images, labels, noise or
        bounds out of range, for a model that returns NaN, and for an attack that leaves epsilon in
        its ``norm``. A warning where the gradients vanish, since the answers then say nothing about
        the model.
        """
        found = self.measured(
            g,
            x,
            y,
            noise=noise,
            num_noise=num_noise,
            bounds=bounds,
            generator=generator,
            validate=validate,
            precision=precision,
        )
        if validate:
            warn_without_gradient(int(found.without_gradient.sum()), len(x), stacklevel=3)
        return found.x_adv

    @final
    def measured(
        self,
        g: SmoothedClassifier,
        x: Tensor,
        y: Tensor,
        *,
        noise: Tensor | None = None,
        num_noise: int = 1,
        bounds: Bounds | None = (0.0, 1.0),
        generator: torch.Generator | None = None,
        validate: bool = True,
        precision: Precision = "float32",
    ) -> Attacked:
        """The same attack, with what was measured on it, and without a warning.

            attack.measured(g, x, y, num_noise=64).length.max()

        Arguments and errors as of the call. Gradients are looked at only where ``validate`` is set.
        """
        check_smoothed(g)
        check_tensor(x, "images (B, C, H, W)")
        check_generator(generator)
        _check_bounds(bounds)
        if validate:
            limit = torch.finfo(x.dtype).max if x.is_floating_point() else math.inf
            within = (-limit, limit) if bounds is None else bounds
            check_images(x, within, channels=channels_taken(g.base))
            check_labels(y, len(x), g.num_classes)
        given, x = x.dtype, _searchable(x)
        noise = self._noise(g, x, noise, num_noise, generator)
        if validate and noise is not None:
            _check_noise_values(noise)
        if len(x) == 0:
            none = x.new_zeros(0, dtype=torch.bool)
            return Attacked(x.detach().clone().to(given), none.double(), none)
        with torch.inference_mode(False), frozen(g):
            # inference_mode(False) also turns gradients on. Tensors made in inference mode are
            # cloned, since autograd refuses them.
            g = quick_view(without_inference_tensors(g), x, precision)
            y = y.to(torch.int64, copy=True)
            problem = Problem(x.detach().clone(), y, bounds, generator)
            victim = Victim(g, noise, x, self._succeeds(y) if validate else None)
            x_adv = self._perturb(victim, problem).detach()
            if x_adv.shape != x.shape:
                raise ValueError(
                    f"expected images like those handed in {tuple(x.shape)} from {self!r}, got "
                    f"{tuple(x_adv.shape)}; mend its _perturb"
                )
            x_adv = x_adv.masked_fill(~victim.healthy.view(-1, 1, 1, 1), math.nan)
            if bounds is not None:
                # Against the last bit of x + delta; NaN is left alone.
                x_adv = x_adv.clamp(*bounds)
            x_adv = x_adv.to(given)
        if validate:
            _check_finite(x_adv)
        # Without validation x may be outside of the box, into which the answer is clamped.
        start = x.detach() if validate or bounds is None else x.detach().clamp(*bounds)
        x_adv, length = self._kept_epsilon(x_adv, start, validate)
        blind = victim.without_gradient & (self.epsilon > 0)
        return Attacked(x_adv, length, blind)

    def _succeeds(self, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Whether log-probabilities (B, m, K) name what the attack wants: by votes, or on average.

        Attacks differ in which of the two they look at.
        """

        def succeeds(log_probs: Tensor) -> Tensor:
            votes, mean = majority_vote(log_probs), log_probs.logsumexp(dim=1).argmax(dim=1)
            if self.targeted:
                return (votes == y) | (mean == y)
            return (votes != y) | (mean != y)

        return succeeds

    def _kept_epsilon(self, x_adv: Tensor, x: Tensor, validate: bool) -> tuple[Tensor, Tensor]:
        """The answer and its norms; ValueError where one is above epsilon, or NaN in its place."""
        length = norm_of(x_adv - x, self.norm)
        beyond = length > self.epsilon + rounding(x_adv, self.epsilon, self.norm)
        if not (validate or x.device.type == "cpu" or not self.recordable):
            return x_adv.masked_fill(beyond.view(-1, 1, 1, 1), math.nan), length
        if bool(beyond.any()):
            raise ValueError(
                f"expected perturbations of {self.norm} norm up to epsilon={self.epsilon:g}, got "
                f"one of {float(length[beyond].max()):.6g} for {int(beyond.sum())} of {len(x)} "
                f"images from {self!r}; an attack that does not keep epsilon measures another "
                "threat: take one that does"
            )
        return x_adv, length

    def remarks(self, noise: NoiseDistribution) -> list[str]:
        """What is known to go badly when training with this attack under this noise, in words."""
        return []

    @abstractmethod
    def _perturb(self, victim: Victim, problem: Problem) -> Tensor:
        """The attacked images (B, C, H, W) of a batch that is not empty."""

    def _noise(
        self,
        g: SmoothedClassifier,
        x: Tensor,
        noise: Tensor | None,
        m: int,
        generator: torch.Generator | None,
    ) -> Tensor | None:
        """The noise that this attack sees: as given, or a fresh draw; the base sees none."""
        m = check_integer(m, "num_noise")
        if noise is not None:
            check_tensor(noise, "noise (B, m, C, H, W)")
            if (
                noise.ndim != 5
                or (noise.shape[0], *noise.shape[2:]) != tuple(x.shape)
                or noise.shape[1] == 0
            ):
                raise ValueError(
                    f"expected noise (B, m, C, H, W) for images {tuple(x.shape)}, "
                    f"got {tuple(noise.shape)}"
                )
            if m not in (1, noise.shape[1]):
                raise ValueError(
                    f"expected num_noise to agree with the given noise, got num_noise={m} and "
                    f"{noise.shape[1]} samples per image; leave num_noise out when giving noise"
                )
        if m < 1:
            raise ValueError(f"expected num_noise >= 1, got {m}")
        if self.target == "base":
            return None
        if noise is not None:
            return noise.detach()
        frozen_noise = g.frozen_sample(x)
        if frozen_noise is not None and m in (1, frozen_noise.shape[1]):
            return frozen_noise
        return g.sample_noise(x, m, generator)


@dataclass(frozen=True, kw_only=True)
class GradientAttack(Attack):
    """An attack that follows the gradient of an objective.

        class OneStep(GradientAttack):
            def _search(self, evaluate, problem):
                return self.epsilon * l2.unit(evaluate(problem.x).gradient)

    objective: a registered name, or a function (log_probs (B, m, K), y (B,)) -> loss (B,). The
        attack climbs it; a targeted attack descends it.

    A subclass writes ``_search``, one loop, and is handed all else.
    """

    recordable: ClassVar[bool] = True

    objective: str | Objective = "naive"

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_objective(self.objective)

    @abstractmethod
    def _search(self, evaluate: Evaluate, problem: Problem) -> Tensor:
        """The perturbation (B, C, H, W) found by querying ``evaluate`` at points x_adv."""

    @final
    def _perturb(self, victim: Victim, problem: Problem) -> Tensor:
        objective = resolve_objective(self.objective)
        sign = -1.0 if self.targeted else 1.0

        def evaluate(x_adv: Tensor) -> Evaluation:
            point = x_adv.detach().requires_grad_()
            log_probs = victim.log_probs(point)
            if not log_probs.requires_grad:
                raise ValueError(
                    "expected a base classifier that is differentiable in its input, got an output "
                    "without gradient; look for a no_grad or detach inside it"
                )
            loss = sign * objective(log_probs, problem.y)
            (gradient,) = torch.autograd.grad(loss.sum(), point)
            victim.healthy &= gradient.isfinite().flatten(1).all(dim=1)
            return Evaluation(loss.detach(), log_probs.detach(), gradient)

        return problem.x + self._search(evaluate, problem)

    def _is_adversarial(self, log_probs: Tensor, y: Tensor) -> Tensor:
        """Whether most noise samples vote as the attack wants: (B, m, K), (B,) -> bool (B,)."""
        reached = majority_vote(log_probs) == y
        return reached if self.targeted else ~reached


def majority_vote(log_probs: Tensor) -> Tensor:
    """The class that most noise samples vote for: (B, m, K) -> (B,).

        majority_vote(g.log_probs(x.unsqueeze(1) + noise))

    In a tie it is the lowest class.
    """
    classes = torch.arange(log_probs.shape[2], device=log_probs.device)
    votes = log_probs.argmax(dim=2, keepdim=True) == classes
    return votes.sum(dim=1).argmax(dim=1)


def _searchable(x: Tensor) -> Tensor:
    """Images of half precision as float32, since norms of gradients overflow in the former."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_steps(steps: int) -> None:
    """The number of steps of a search; ValueError unless >= 1."""
    if steps < 1:
        raise ValueError(f"expected whole steps >= 1, got {steps}")


def check_untargeted(attack: Attack) -> None:
    """ValueError for a targeted attack, where it is to be called with true labels."""
    if attack.targeted:
        raise ValueError(
            f"expected an untargeted attack, since y are the true labels, got {attack!r}, which "
            "moves images towards them; set targeted=False"
        )


def warn_without_gradient(count: int, images: int, *, stacklevel: int) -> None:
    """Warn where an attack found no gradient to follow for ``count`` of the images."""
    if count:
        warnings.warn(
            f"the gradient was zero at every step for {count} of {images} images: there the attack "
            "has measured nothing. Look for rounding, thresholds or argmax within the model, or "
            "use an attack that needs no gradient",
            stacklevel=stacklevel,
        )


def _check_bounds(bounds: Bounds | None) -> None:
    if bounds is None:
        return
    pair = isinstance(bounds, Sequence) and [isinstance(end, Real) for end in bounds]
    if pair != [True, True] or not bounds[0] < bounds[1]:
        raise ValueError(
            f"expected bounds (low, high) with low < high, or None for no box, got {bounds!r}"
        )


def _check_noise_values(noise: Tensor) -> None:
    if not bool(noise.isfinite().all()):
        raise ValueError("expected finite noise, got NaN or infinity in it")


def _check_finite(x_adv: Tensor) -> None:
    broken = (~x_adv.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
    if broken:
        raise ValueError(
            "expected finite logits and gradients from the base classifier, got NaN or infinity "
            f"for images {broken[:8]} of the batch ({len(broken)} of {len(x_adv)}); look at its "
            "weights: training may have diverged"
        )
