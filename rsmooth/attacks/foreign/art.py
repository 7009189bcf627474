"""ART, the Adversarial Robustness Toolbox: its evasion attacks as ours.

Importing this module does not import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from rsmooth.attacks.foreign.adapter import Call, ForeignAttack
from rsmooth.attacks.foreign.libraries import Kind, Library, defaults_of, kind_of, minimal
from rsmooth.attacks.foreign.one_function import LogG
from rsmooth.registry import ATTACKS

SEVERAL = (
    "FastGradientMethod ProjectedGradientDescent ProjectedGradientDescentNumpy "
    "ProjectedGradientDescentPyTorch MomentumIterativeMethod AutoProjectedGradientDescent "
    "AutoConjugateGradient RescalingAutoConjugateGradient SquareAttack"
)
KINDS = {
    **dict.fromkeys(SEVERAL.split(), Kind(None)),
    "BasicIterativeMethod": Kind("linf"),
    **dict.fromkeys(("CarliniL2Method", "DeepFool", "BoundaryAttack"), minimal("l2")),
    "CarliniLInfMethod": minimal("linf"),
    "ElasticNet": minimal("l1"),
    "HopSkipJump": minimal(None),
}
THEIRS = {"l1": 1, "l2": 2, "linf": "inf"}


@ATTACKS.register("art")
@dataclass(frozen=True, kw_only=True)
class ARTAttack(ForeignAttack):
    """An evasion attack of ART (Nicolae et al. 2018) by the name of its class, as "HopSkipJump".

        attack = ARTAttack(attack="ProjectedGradientDescent", options={"max_iter": 20}, epsilon=0.5)
        x_adv = dataclasses.replace(attack, target="smoothed")(g, x, y, num_noise=64)

    attack: the name of a class in art.attacks.evasion.
    options: keyword arguments of the class. Classes of several norms take l2 unless the option norm
        says another. batch_size is the whole batch, and eps_step at most epsilon, unless given.

    epsilon is measured in the norm of the class. Attacks that look for the smallest perturbation,
    such as DeepFool, know no epsilon: longer ones are shortened to it. ART computes in float32 on
    the CPU, and sees log G as one function: the noise that the attack draws is shared by all
    images. Where each image has noise of its own, as in training, classes that do not evaluate the
    whole batch in every call go through the images one by one. ValueError for an unknown class or
    option, and for a class that leaves epsilon. ImportError without ART.
    """

    library: ClassVar[Library] = Library(
        "art.attacks.evasion", "art", "adversarial-robustness-toolbox"
    )
    reserved: ClassVar[tuple[str, ...]] = (
        *("self", "estimator", "classifier", "eps", "targeted", "summary_writer", "adv_criterion"),
    )

    attack: str

    def _kind(self) -> Kind:
        theirs = vars(self.library.load())
        known = [name for name, entry in theirs.items() if isinstance(entry, type)]
        return kind_of(self.attack, KINDS, self.library.project, known)

    def _entry(self) -> Callable[..., Any]:
        self._kind()
        entry: Callable[..., Any] = getattr(self.library.load(), self.attack)
        return entry

    def _their_norm(self) -> Any:
        return THEIRS[self.norm]

    def used(self) -> dict[str, Any]:
        """The foreign attack as it is used: library with release, and all its options."""
        used = super().used()
        options, defaults = used["options"], defaults_of(self._entry())
        filled = {"batch_size": "the whole batch"}
        if defaults.get("eps_step") is not None:
            filled["eps_step"] = f"{defaults['eps_step']:g}, or epsilon where that is smaller"
        options |= {n: v for n, v in filled.items() if n in options and n not in self.options}
        return used

    def _arguments(self, call: Call) -> dict[str, Any]:
        found = super()._arguments(call)
        default = defaults_of(self._entry()).get("eps_step")
        if default is not None and "eps_step" not in found:
            found["eps_step"] = min(default, self.epsilon)
        return found

    def _search(self, model: LogG, x: Tensor, y: Tensor, call: Call) -> Tensor:
        from art.estimators.classification import PyTorchClassifier

        arguments = self._arguments(call)
        if self.targeted and "targeted" not in arguments:
            raise self._refuse_target()
        if "batch_size" in defaults_of(self._entry()):
            arguments.setdefault("batch_size", len(x))
        estimator = PyTorchClassifier(
            model=model,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(x.shape[1:]),
            nb_classes=call.num_classes,
            clip_values=self._box(x, call),
            device_type="gpu" if x.is_cuda else "cpu",
        )
        labels = np.eye(call.num_classes, dtype=np.float32)[y.cpu().numpy()]
        images = x.detach().cpu().numpy()
        found = self._entry()(estimator, **arguments).generate(images, labels)
        return torch.from_numpy(np.ascontiguousarray(found))

    def _box(self, x: Tensor, call: Call) -> tuple[float, float]:
        """The box of valid pixels; without one, a box so wide that it cannot bind."""
        if call.bounds is not None:
            return call.bounds
        low, high = (float(end) for end in torch.aminmax(x))
        return math.floor(low - self.epsilon - 1.0), math.ceil(high + self.epsilon + 1.0)
