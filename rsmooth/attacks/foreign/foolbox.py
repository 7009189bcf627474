"""foolbox in both directions: its attacks as ours, our classifiers and attacks as its own.

Importing this module does not import foolbox; using it does.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack
from rsmooth.attacks.foreign.isolation import drawing_from, root_logger
from rsmooth.attacks.foreign.one_function import LogG, searched
from rsmooth.attacks.l2 import Bounds
from rsmooth.attacks.victim import Problem, Victim
from rsmooth.plumbing.names import close_names
from rsmooth.plumbing.numbers import check_seed
from rsmooth.plumbing.optional import optional
from rsmooth.registry import ATTACKS
from rsmooth.smoothed import SmoothedClassifier, check_smoothed

if TYPE_CHECKING:
    from foolbox.attacks.base import Attack as TheirAttack

    from rsmooth.attacks.foreign.foolbox_side import OurAttack, SmoothedModel


@ATTACKS.register("foolbox")
@dataclass(frozen=True, kw_only=True)
class FoolboxAttack(Attack):
    """Any attack of foolbox (Rauber et al. 2020) by the name of its class, such as "L2PGD".

        attack = FoolboxAttack(attack="L2PGD", options={"steps": 20}, epsilon=0.5)
        x_adv = dataclasses.replace(attack, target="smoothed")(g, x, y, num_noise=64)

    attack: the name of a class in foolbox.attacks, or a foolbox attack itself.
    options: keyword arguments of the class, where attack is a name.
    fallback: what an image gets where foolbox reports no success: "clean" is the image itself,
        "last" what the attack returned. None is "clean" for foolbox's minimisation attacks (DDN,
        Carlini-Wagner, DeepFool, ...) and "last" for its attacks of fixed epsilon (PGD, ...).

    epsilon is measured in the norm of the foolbox attack, such as l-infinity for LinfPGD, to which
    the perturbation is clipped. Attacks that may have several norms take one as an option, such as
    distance="l2". Attacks without any, such as SpatialAttack, are refused.

    foolbox sees log G under noise that is fixed for the whole attack. So its cross-entropy is the
    SmoothAdv objective. With target "base" it sees log F. Without bounds the box is widened so far
    that it cannot bind. Where each image has noise of its own, an attack that does not evaluate all
    images in every call goes through them one by one. foolbox draws random starts from torch's own
    generator, which the ``generator`` of the call seeds for that time, if there is one. ValueError
    for an unknown attack or option.
    """

    attack: str | TheirAttack
    options: Mapping[str, float | int | bool | str | None] = field(default_factory=dict, hash=False)
    fallback: Literal["clean", "last"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fallback not in ("clean", "last", None):
            raise ValueError(f"expected fallback 'clean', 'last' or None, got {self.fallback!r}")

    @property
    def norm(self) -> str:  # type: ignore[override]  # that of an attack given by its name
        built = self._resolve()
        try:
            return f"l{built.distance.p:g}"
        except (AttributeError, ValueError):
            name = type(built).__name__
        raise ValueError(
            f"expected a foolbox attack of a known norm, got {name}, which keeps no epsilon; give "
            "it one where it takes it (options: {distance: l2}, or l1, linf), or take another"
        )

    def _resolve(self) -> TheirAttack:
        """The foolbox attack; ValueError for an unknown name or option."""
        if isinstance(self.attack, str):
            return self._by_name(self.attack)
        fb = _import_foolbox()
        if self.options:
            raise ValueError(
                "expected options only with the name of a foolbox attack, got "
                f"{dict(self.options)!r} with {self.attack!r}; set them in its constructor"
            )
        if not isinstance(self.attack, fb.attacks.base.Attack):
            raise ValueError(
                "expected the name of a class of foolbox.attacks, or a foolbox attack, got "
                f"{self.attack!r}"
            )
        return self.attack

    def _by_name(self, attack: str) -> TheirAttack:
        fb = _import_foolbox()
        names = [name for name, entry in vars(fb.attacks).items() if isinstance(entry, type)]
        if attack not in names:
            close = close_names(attack, names)
            raise ValueError(
                f"expected a class of foolbox.attacks, got {attack!r}; "
                f"{'did you mean ' + ' or '.join(close) + '?' if close else 'see foolbox.attacks'}"
            )
        options: dict[str, Any] = dict(self.options)
        if isinstance(options.get("distance"), str):
            options["distance"] = getattr(fb.distances, options["distance"], None)
        try:
            built: TheirAttack = getattr(fb.attacks, attack)(**options)
        except TypeError as error:
            raise ValueError(
                f"expected options of {attack}, got {dict(self.options)!r}: {error}"
            ) from None
        return built

    def _perturb(self, victim: Victim, problem: Problem) -> Tensor:
        fb, attack, x = _import_foolbox(), self._resolve(), problem.x
        bounds = problem.bounds
        if bounds is None:
            low, high = (float(end) for end in torch.aminmax(x))
            bounds = low - self.epsilon - 1.0, high + self.epsilon + 1.0
        criterion = (
            fb.criteria.TargetedMisclassification
            if self.targeted
            else fb.criteria.Misclassification
        )
        fallback = self.fallback or (
            "clean" if isinstance(attack, fb.attacks.base.MinimizationAttack) else "last"
        )

        def search(log_g: LogG, x: Tensor, y: Tensor) -> Tensor:
            model = fb.PyTorchModel(log_g, bounds=bounds, device=x.device)
            _, clipped, success = attack(model, x, criterion(y), epsilons=self.epsilon)
            found: Tensor = clipped
            return (
                torch.where(success.view(-1, 1, 1, 1), found, x) if fallback == "clean" else found
            )

        with drawing_from(problem.generator, x.device), root_logger():
            return searched(victim, x, problem.y, search, by_count=True)


def to_foolbox(g: SmoothedClassifier, bounds: Bounds = (0.0, 1.0)) -> SmoothedModel:
    """A smoothed classifier as a foolbox model that returns log G, on g's own device.

        with g.eval().frozen_noise(seed=0, num_noise=64):
            _, clipped, success = foolbox.attacks.L2PGD()(to_foolbox(g), x, y, epsilons=0.5)

    bounds: the box of valid pixels.

    The noise is fresh in each call. Within ``g.frozen_noise`` an attack sees one deterministic
    function. Its searches and success flags presume that. Put g in eval mode first.
    """
    check_smoothed(g)
    _import_foolbox()
    from rsmooth.attacks.foreign.foolbox_side import SmoothedModel

    return SmoothedModel(g, bounds)


def to_foolbox_attack(attack: Attack, *, num_noise: int = 1, seed: int = 0) -> OurAttack:
    """Our attack as a foolbox attack of fixed epsilon.

        attack = to_foolbox_attack(SmoothAdvPGD(epsilon=0.5, steps=20), num_noise=64)
        _, clipped, success = attack(to_foolbox(g), x, y, epsilons=[0.25, 0.5])

    num_noise: samples per image, drawn from ``seed``, the same for all epsilons.

    foolbox's epsilons replace the attack's own. foolbox's criterion decides whether the attack is
    targeted. A foolbox model that is not from ``to_foolbox`` is attacked as a base classifier.
    """
    check_seed(seed)
    _import_foolbox()
    from rsmooth.attacks.foreign.foolbox_side import OurAttack

    return OurAttack(attack, num_noise, seed)


def _import_foolbox() -> ModuleType:
    """The package, without the deprecation warning of its release 3.3.4 about a module of SciPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return optional("foolbox", "its attacks", "'rsmooth[foolbox]'")
