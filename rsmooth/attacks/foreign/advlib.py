"""adversarial-library (adv_lib): its attacks as ours. Importing this module does not import it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any, ClassVar

from torch import Tensor

from rsmooth.attacks.foreign.adapter import Call, ForeignAttack
from rsmooth.attacks.foreign.libraries import ORDERS, Kind, Library, kind_of, minimal
from rsmooth.attacks.foreign.one_function import LogG
from rsmooth.registry import ATTACKS

KINDS = {
    **dict.fromkeys(("ddn", "carlini_wagner_l2", "pdgd", "sdf"), minimal("l2")),
    "carlini_wagner_linf": minimal("linf"),
    **dict.fromkeys(("df", "fab", "fmn", "pdpgd"), minimal(None)),
    "tr": minimal(None, "p"),
    "alma": minimal(None, "distance"),
    "pgd_linf": Kind("linf", epsilon="ε"),
    **dict.fromkeys(("apgd", "apgd_targeted"), Kind(None)),
}


class _AdvLib(Library):
    """adv_lib needs visdom, a plotting server, to be imported. No attack needs it."""

    def load(self) -> ModuleType:
        with _visdom():
            return super().load()


@contextmanager
def _visdom() -> Iterator[None]:
    """Something called visdom to import, where there is none.

    The source of visdom needs an older setuptools to be built, so many have adv-lib without it.
    """
    if "adv_lib" in sys.modules or find_spec("visdom") is not None:
        yield
        return
    sys.modules["visdom"] = ModuleType("visdom")
    try:
        yield
    finally:
        del sys.modules["visdom"]


@ATTACKS.register("advlib")
@dataclass(frozen=True, kw_only=True)
class AdvLibAttack(ForeignAttack):
    """An attack of adversarial-library (Rony & Ben Ayed) by the name of its function, as "fmn".

        attack = AdvLibAttack(attack="fmn", options={"steps": 100}, epsilon=0.5)
        x_adv = dataclasses.replace(attack, target="smoothed")(g, x, y, num_noise=64)

    attack: the name of a function in adv_lib.attacks.
    options: its keyword arguments; Greek letters may be spelled out (gamma for γ). Functions of
        several norms take l2 unless the option norm (of tr: p, of alma: distance) says another.

    epsilon is measured in the norm of the attack. Most of these attacks look for the smallest
    perturbation and know no epsilon: longer ones are shortened to it. adv_lib sees log G as one
    function: the noise that the attack draws is shared by all images. Where each image has noise of
    its own, as in training, attacks that do not evaluate the whole batch in every call go through
    the images one by one. ValueError for an unknown function or option, for other bounds than
    [0, 1], and for an attack that leaves epsilon. ImportError without adv-lib.
    """

    unit_box: ClassVar[bool] = True
    library: ClassVar[Library] = _AdvLib(
        "adv_lib.attacks",
        "advlib",
        "adv-lib",
        ", or where its visdom does not build: pip install --no-deps adv-lib",
    )
    reserved: ClassVar[tuple[str, ...]] = (
        *("model", "inputs", "labels", "targeted", "callback", "eps", "ε", "penalty"),
        *("starting_points", "return_unsuccessful", "return_targets"),
    )

    attack: str

    def _kind(self) -> Kind:
        theirs = vars(self.library.load())
        known = [name for name, entry in theirs.items() if isinstance(entry, FunctionType)]
        return kind_of(self.attack, KINDS, self.library.project, known)

    def _entry(self) -> Callable[..., Any]:
        self._kind()
        entry: Callable[..., Any] = getattr(self.library.load(), self.attack)
        return entry

    def _their_norm(self) -> Any:
        return self.norm if self._kind().chosen_by == "distance" else ORDERS[self.norm]

    def _search(self, model: LogG, x: Tensor, y: Tensor, call: Call) -> Tensor:
        self._check_unit_box(call)
        arguments = self._arguments(call)
        if self.targeted and "targeted" not in arguments:
            raise self._refuse_target()
        found: Tensor = self._entry()(model, x, y, **arguments)
        return found
