"""torchattacks: its attacks as ours. Importing this module does not import it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from rsmooth.attacks.foreign.adapter import Call, ForeignAttack
from rsmooth.attacks.foreign.libraries import Kind, Library, kind_of, minimal
from rsmooth.attacks.foreign.one_function import LogG
from rsmooth.registry import ATTACKS

LINF = (
    "FGSM BIM RFGSM PGD EOTPGD FFGSM TPGD MIFGSM UPGD DIFGSM TIFGSM Jitter NIFGSM PGDRS SINIFGSM "
    "VMIFGSM VNIFGSM SPSA"
)
KINDS = {
    **dict.fromkeys(LINF.split(), Kind("linf")),
    **dict.fromkeys(("PIFGSM", "PIFGSMPP"), Kind("linf", epsilon="max_epsilon")),
    **dict.fromkeys(("PGDL2", "PGDRSL2"), Kind("l2")),
    **dict.fromkeys(("CW", "DeepFool", "EADEN"), minimal("l2")),
    "EADL1": minimal("l1"),
    **dict.fromkeys(("APGD", "APGDT", "Square", "AutoAttack"), Kind(None)),
    # It looks for the smallest perturbation, and is told epsilon for its restarts.
    "FAB": Kind(None, minimises=True),
}
SPELLED = {"l1": "L1", "l2": "L2", "linf": "Linf"}


@ATTACKS.register("torchattacks")
@dataclass(frozen=True, kw_only=True)
class TorchattacksAttack(ForeignAttack):
    """An attack of torchattacks (Kim 2020) by the name of its class, such as "PGDL2".

        attack = TorchattacksAttack(attack="PGDL2", options={"steps": 20}, epsilon=0.5)
        x_adv = dataclasses.replace(attack, target="smoothed")(g, x, y, num_noise=64)

    attack: the name of a class in torchattacks.
    options: keyword arguments of the class. Classes of several norms, such as APGD, take l2 unless
        the option norm says linf.

    epsilon is measured in the norm of the class. Attacks that look for the smallest perturbation,
    such as CW, know no epsilon: longer ones are shortened to it. torchattacks sees log G as one
    function: the noise that the attack draws is shared by all images. Where each image has noise of
    its own, as in training, classes that do not evaluate the whole batch in every call, such as
    AutoAttack, attack the images one by one. ValueError for an unknown class or option, for other
    bounds than [0, 1], and for a class that leaves epsilon. ImportError without torchattacks.
    """

    unit_box: ClassVar[bool] = True
    library: ClassVar[Library] = Library("torchattacks", "torchattacks", "torchattacks")
    reserved: ClassVar[tuple[str, ...]] = ("self", "model", "eps", "max_epsilon", "n_classes")

    attack: str

    def _kind(self) -> Kind:
        known = self.library.load().__all__
        return kind_of(self.attack, KINDS, self.library.project, known)

    def _entry(self) -> Callable[..., Any]:
        self._kind()
        entry: Callable[..., Any] = getattr(self.library.load(), self.attack)
        return entry

    def _their_norm(self) -> str:
        return SPELLED[self.norm]

    def _search(self, model: LogG, x: Tensor, y: Tensor, call: Call) -> Tensor:
        self._check_unit_box(call)
        victim = _Shifted(model) if self.attack == "CW" else model
        attack = self._entry()(victim, **self._arguments(call))
        if self.targeted:
            if "targeted" not in attack.supported_mode:
                raise self._refuse_target()
            attack.set_mode_targeted_by_label(quiet=True)
        found: Tensor = attack(x, y)
        return found


class _Shifted(nn.Module):
    """The same answers as logits of at least 0.

    CW masks classes by a product with 0, and takes the largest of what is left. Of logarithms of
    probabilities, which are all negative, that is always the masked class.
    """

    def __init__(self, model: LogG) -> None:
        super().__init__()
        self._model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self._model(x)
        return logits - logits.detach().amin(dim=1, keepdim=True)
