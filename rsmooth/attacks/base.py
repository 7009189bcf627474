"""What every attack shares: the public call, with its checks before and after."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from rsmooth.attacks.checks import (
    check_bounds,
    check_finite,
    check_noise_values,
    warn_without_gradient,
)
from rsmooth.attacks.l2 import Bounds
from rsmooth.attacks.norms import drawn_within, norm_of, order_of, rounding
from rsmooth.attacks.victim import Attacked, Problem, Victim, majority_vote
from rsmooth.attacks.view import quick_view
from rsmooth.models.precision import Precision
from rsmooth.models.state import frozen as frozen
from rsmooth.models.state import without_inference_tensors
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.plumbing.declared import settle_fields
from rsmooth.plumbing.numbers import check_integer
from rsmooth.plumbing.tensors import (
    Labels,
    as_labels,
    channels_taken,
    check_generator,
    check_images,
    check_labels,
    check_tensor,
)
from rsmooth.smoothed import SmoothedClassifier, check_smoothed


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
        y: Labels,
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
            are searched in float32, and the result is rounded to them. That may lengthen a
            perturbation in other norms than linf.
        y: labels (B,), the classes to leave; of a targeted attack, those to reach. Integers in a
            tensor, an array or a list.
        noise: (B, m, C, H, W), fixed for the whole attack; drawn once from g if None. The base
            target sees none.
        num_noise: samples per image (m) to draw where no noise is given. Within ``g.frozen_noise``
            the frozen noise is attacked, unless num_noise is neither 1 nor that of the context.
        bounds: the box of valid pixels. None switches it off, for points outside of any box.
        generator: source of the noise and of random starts; None is torch's own.
        validate: False omits the checks that wait for the device: ranges of x and y, and NaN in the
            result. An image whose evaluation had a NaN then comes back as NaN. So does, on a GPU,
            one whose perturbation is longer than epsilon. Rounding may then lead beyond epsilon by
            a few units in the last place; otherwise it does not.
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
        y: Labels,
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
        check_bounds(bounds)
        y = as_labels(y).to(x.device)
        if validate:
            _check_batch(g, x, y, bounds)
        given, x = x.dtype, _searchable(x)
        noise = self._noise(g, x, noise, num_noise, generator)
        if validate and noise is not None:
            check_noise_values(noise)
        if len(x) == 0:
            none = x.new_zeros(0, dtype=torch.bool)
            return Attacked(x.detach().clone().to(given), none.double(), none)
        with torch.inference_mode(False), frozen(g):
            # inference_mode(False) also turns gradients on. Tensors made in inference mode are
            # cloned, since autograd refuses them.
            g = quick_view(without_inference_tensors(g), x, precision)
            y = y.clone()
            problem = Problem(x.detach().clone(), y, bounds, generator)
            victim = Victim(g, noise, x, self._succeeds(y) if validate else None)
            x_adv = self._answer(victim, problem, x.shape).to(given)
        if validate:
            check_finite(x_adv)
        # Without validation x may be outside of the box, into which the answer is clamped.
        start = x.detach() if validate or bounds is None else x.detach().clamp(*bounds)
        x_adv, length = self._kept_epsilon(x_adv, start, validate)
        blind = victim.without_gradient & (self.epsilon > 0)
        return Attacked(x_adv, length, blind)

    def _answer(self, victim: Victim, problem: Problem, shape: torch.Size) -> Tensor:
        """What ``_perturb`` found, within the box; NaN for images whose evaluation had a NaN."""
        x_adv = self._perturb(victim, problem).detach()
        if x_adv.shape != shape:
            raise ValueError(
                f"expected images like those handed in {tuple(shape)} from {self!r}, got "
                f"{tuple(x_adv.shape)}; mend its _perturb"
            )
        x_adv = x_adv.masked_fill(~victim.healthy.view(-1, 1, 1, 1), math.nan)
        # Against the last bit of x + delta; NaN is left alone.
        return x_adv if problem.bounds is None else x_adv.clamp(*problem.bounds)

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
        if validate:
            with torch.inference_mode(False):
                x_adv = drawn_within(x_adv, x, self.epsilon, self.norm)
            length = norm_of(x_adv - x, self.norm)
        return x_adv, length

    @property
    def needs_box(self) -> bool:
        """Whether it works within a box of valid pixels only, and so not with bounds=None."""
        return False

    def used(self) -> dict[str, Any]:
        """What a record says of this attack beside its options: nothing, unless it is foreign."""
        return {}

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
        m = check_integer(m, "num_noise", 16)
        if noise is not None:
            _check_given(noise, x, m)
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


def _check_batch(g: SmoothedClassifier, x: Tensor, y: Tensor, bounds: Bounds | None) -> None:
    """ValueError for images out of the box, or not finite where there is none; for other labels."""
    limit = torch.finfo(x.dtype).max if x.is_floating_point() else math.inf
    within = (-limit, limit) if bounds is None else bounds
    check_images(x, within, channels=channels_taken(g.base))
    check_labels(y, len(x), g.num_classes)


def _check_given(noise: Tensor, x: Tensor, m: int) -> None:
    """ValueError unless the noise is of these images, with m samples each where m is not 1."""
    check_tensor(noise, "noise (B, m, C, H, W)")
    if (
        noise.ndim != 5
        or (noise.shape[0], *noise.shape[2:]) != tuple(x.shape)
        or noise.shape[1] == 0
    ):
        raise ValueError(
            f"expected noise (B, m, C, H, W) for images {tuple(x.shape)}, got {tuple(noise.shape)}"
        )
    if m not in (1, noise.shape[1]):
        raise ValueError(
            f"expected num_noise to agree with the given noise, got num_noise={m} and "
            f"{noise.shape[1]} samples per image; leave num_noise out when giving noise"
        )


def _searchable(x: Tensor) -> Tensor:
    """Images of half precision as float32, since norms of gradients overflow in the former."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_untargeted(attack: Attack) -> None:
    """ValueError for a targeted attack, where it is to be called with true labels.

    TypeError for what is no attack of ours, such as its name.
    """
    if not isinstance(attack, Attack):
        raise TypeError(
            f"expected an attack such as PGD(epsilon=0.5, steps=20), got {attack!r}; make one "
            "of a name by ATTACKS.create"
        )
    if attack.targeted:
        raise ValueError(
            f"expected an untargeted attack, since y are the true labels, got {attack!r}, which "
            "moves images towards them; set targeted=False"
        )
