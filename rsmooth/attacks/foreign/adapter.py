"""What the attacks of all other libraries share: options, norm, one function, no leaks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack
from rsmooth.attacks.foreign.isolation import isolated, reseed
from rsmooth.attacks.foreign.libraries import (
    Kind,
    Library,
    defaults_of,
    norm_name,
    plain_options,
)
from rsmooth.attacks.foreign.one_function import LogG, searched
from rsmooth.attacks.l2 import Bounds
from rsmooth.attacks.norms import norm_of
from rsmooth.attacks.victim import Problem, Victim
from rsmooth.smoothed import SmoothedClassifier

# By how much, relative to epsilon, a library may miss it by the rounding of its own computation.
ROUNDING = 1e-4


class RefusedError(ValueError):
    """A call that is refused in words of our own, before the library sees it."""


class Call(NamedTuple):
    """What one call of a foreign attack is made with, beside images and labels.

    bounds: the box of valid pixels; None for no box. seed: of all its random draws.
    """

    num_classes: int
    seed: int
    bounds: Bounds | None


@dataclass(frozen=True, kw_only=True)
class ForeignAttack(Attack):
    """An attack of another library, which sees log G as one function.

    options: keyword arguments of the foreign attack; those left out have its own defaults.

    A subclass says in ``_kind`` and ``_entry`` what attack it is, and runs it in ``_search``.
    ValueError for an option that the attack does not have. ImportError, with the extra to install,
    where the library is missing.
    """

    library: ClassVar[Library]
    # Parameters of their attacks that are not the user's.
    reserved: ClassVar[tuple[str, ...]] = ()
    # Whether the library knows no other box of pixels than [0, 1].
    unit_box: ClassVar[bool] = False

    options: Mapping[str, float | int | bool | str | None] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._given()

    @property
    def norm(self) -> str:  # type: ignore[override]  # that of the foreign attack
        kind = self._kind()
        if kind.norm is not None:
            return kind.norm
        return norm_name(self.options.get(kind.chosen_by, "l2"), self._owner)

    def used(self) -> dict[str, Any]:
        """The foreign attack as it is used: library with release, and all its options."""
        entry = self._entry()
        values = {n: v for n, v in defaults_of(entry).items() if n not in self.reserved}
        filled = {"seed": "drawn for each call", "verbose": False, "targeted": self.targeted}
        values |= {name: value for name, value in filled.items() if name in values}
        values |= self._given()
        return {"library": self.library.name, "norm": self.norm, "options": _recordable(values)}

    @property
    def _owner(self) -> str:
        """What messages call the attack."""
        return f"{getattr(self._entry(), '__name__', self)} of {self.library.project}"

    @abstractmethod
    def _kind(self) -> Kind:
        """What is known of the attack; ValueError for one of no known norm."""

    @abstractmethod
    def _entry(self) -> Callable[..., Any]:
        """The class or function of the library."""

    @abstractmethod
    def _search(self, model: LogG, x: Tensor, y: Tensor, call: Call) -> Tensor:
        """The attacked images (N, C, H, W) of the library."""

    def _their_norm(self) -> Any:
        """The norm in the words of the library, where an option chooses it."""
        return self.norm

    def _given(self) -> dict[str, Any]:
        """The options as the user gave them, under the names of the library, with the norm."""
        kind, entry = self._kind(), self._entry()
        given = plain_options(self.options, entry, self.reserved, self._owner)
        if kind.norm is None:
            given[kind.chosen_by] = self._their_norm()
        return given

    def _arguments(self, call: Call) -> dict[str, Any]:
        """All keyword arguments of one call: the given ones, epsilon, and what the call fills in.

        Those that the foreign attack does not take are left out.
        """
        kind, takes = self._kind(), defaults_of(self._entry())
        filled = {
            "n_classes": call.num_classes,
            "seed": call.seed,
            "verbose": False,
            "targeted": self.targeted,
        }
        found = {name: value for name, value in filled.items() if name in takes}
        found |= self._given()
        return found if kind.epsilon is None else {**found, kind.epsilon: self.epsilon}

    def _perturb(self, victim: Victim, problem: Problem) -> Tensor:
        x, y = problem.x, problem.y
        if self.epsilon == 0:
            return x
        generator = problem.generator
        device = "cpu" if generator is None else generator.device
        drawn = torch.randint(2**31 - 1, (), generator=generator, device=device)
        call = Call(victim.num_classes, int(drawn), problem.bounds)

        def search(model: LogG, x: Tensor, y: Tensor) -> Tensor:
            reseed(call.seed)
            return self._run(model, x, y, call)

        # In float32, the one number format that all of these libraries know.
        images = x.float()
        with isolated(x.device):
            found = searched(victim, images, y, search).detach()
        return self._kept(victim, problem, (found - images).to(x.dtype))

    def _run(self, model: LogG, x: Tensor, y: Tensor, call: Call) -> Tensor:
        """The search; ValueError in place of what the library raises."""
        try:
            found = self._search(model, x, y, call)
        except (torch.OutOfMemoryError, RefusedError):
            raise
        except Exception as error:
            if model.mismatched:
                raise
            said = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"expected {self._owner} to run on images {tuple(x.shape)} of {call.num_classes} "
                f"classes with options {self._given()!r}, got {said}; change its options, or take "
                "another attack"
            ) from error
        return found.to(x)

    def _kept(self, victim: Victim, problem: Problem, delta: Tensor) -> Tensor:
        """The answer in the attack's own terms, before epsilon is enforced.

        An attack that looks for the smallest perturbation leaves an image alone that is wrong
        already. A longer one than epsilon, which it does not know, is shortened. Where the library
        answers NaN, it has found nothing.
        """
        kind, finite = self._kind(), delta.isfinite().flatten(1).all(dim=1)
        delta = torch.where(finite.view(-1, 1, 1, 1), delta, 0.0)
        length = norm_of(delta, self.norm)
        limit = length if kind.minimises else length.clamp(max=self.epsilon * (1 + ROUNDING))
        beyond = (length > self.epsilon) & (length <= limit)
        delta = torch.where(
            beyond.view(-1, 1, 1, 1), shortened(delta, length, self.epsilon, self.norm), delta
        )
        if kind.minimises:
            delta = delta.masked_fill(self._done(victim, problem).view(-1, 1, 1, 1), 0.0)
        answer = problem.x + delta
        if victim.watched:
            with torch.no_grad():
                victim.log_probs(answer)  # which looks at success, and for NaN, image by image
        return answer

    def _done(self, victim: Victim, problem: Problem) -> Tensor:
        """Images (B,) on which the answer is what the attack wants before it begins."""
        with torch.no_grad():
            said = victim.log_probs(problem.x).logsumexp(dim=1).argmax(dim=1)
        return (said == problem.y) == self.targeted

    def _noise(
        self,
        g: SmoothedClassifier,
        x: Tensor,
        noise: Tensor | None,
        m: int,
        generator: torch.Generator | None,
    ) -> Tensor | None:
        """The noise that the attack sees; where it draws it, all images of the call share it.

        So the library sees one function, and may ask about any images in any order.
        """
        if noise is not None or len(x) == 0:
            return super()._noise(g, x, noise, m, generator)
        one = super()._noise(g, x[:1], None, m, generator)
        return None if one is None else one.expand(len(x), *[-1] * x.ndim)

    def _refuse_target(self) -> RefusedError:
        return RefusedError(
            f"expected an attack that can aim at a class, got {self._owner}, which cannot; set "
            "targeted=False"
        )

    @property
    def needs_box(self) -> bool:
        return self.unit_box

    def _check_unit_box(self, call: Call) -> None:
        """ValueError for another box than [0, 1], the only one that the library knows."""
        if call.bounds is None or tuple(call.bounds) != (0.0, 1.0):
            raise RefusedError(
                f"expected images within [0, 1], the only box that {self.library.project} knows, "
                f"got bounds={call.bounds}; take an attack of ours, of foolbox or of art for it"
            )


def shortened(delta: Tensor, length: Tensor, epsilon: float, norm: str) -> Tensor:
    """Perturbations of the given lengths, made no longer than epsilon: (B, C, H, W).

        shortened(delta, norm_of(delta, "l2"), 0.5, "l2")

    In linf every entry is clamped; otherwise all are scaled.
    """
    if norm == "linf":
        return delta.clamp(-epsilon, epsilon)
    factor = (epsilon / length.clamp(min=epsilon)).to(delta.dtype)
    return delta * factor.view(-1, 1, 1, 1)


def _recordable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON holds them; others by their repr."""
    plain = (int, float, str, bool, type(None), list, tuple)
    return {n: v if isinstance(v, plain) and v == v else repr(v) for n, v in values.items()}
