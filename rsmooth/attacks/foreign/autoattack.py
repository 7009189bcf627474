"""AutoAttack as ours, of the package pyautoattack. Importing this module does not import it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from rsmooth.attacks.foreign.adapter import Call, ForeignAttack, RefusedError
from rsmooth.attacks.foreign.libraries import ORDERS, Kind, Library, hint
from rsmooth.attacks.foreign.one_function import LogG
from rsmooth.registry import ATTACKS

VERSIONS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
    "rand": ("apgd-ce", "apgd-dlr"),
}
# The least classes for which a loss or a list of targets exists.
CLASSES = {"apgd-dlr": 3, "apgd-t": 4}
SPELLED = {"l1": "L1", "l2": "L2", "linf": "Linf"}
MEMBERS = ("apgd", "apgd_targeted", "fab", "square")


@ATTACKS.register("autoattack")
@dataclass(frozen=True, kw_only=True)
class AutoAttack(ForeignAttack):
    """AutoAttack, an ensemble of four attacks (Croce & Hein 2020, arXiv:2003.01690).

        attack = AutoAttack(epsilon=0.5, target="smoothed")
        x_adv = attack(g, x, y, num_noise=64)

    norm: of epsilon, "l1", "l2" or "linf".
    version: "standard", "plus", or "rand", which is for classifiers that answer at random. Here the
        noise is fixed, so "standard" is the one to take.
    attacks: in place of a version, some of "apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t" and
        "square".
    options: of the attacks, each set on all that have it, such as n_iter (steps, 100), n_queries
        (of Square, 5000), n_restarts, eot_iter and n_target_classes.

    It returns an image as it is where no attack changes the answer. It sees log G as one function:
    the noise that it draws is shared by all images. Where each image has noise of its own, as in
    training, the images are attacked one by one. At most K - 1 classes are targeted. ValueError for
    an unknown version, attack or option, for fewer classes than an attack needs, and for other
    bounds than [0, 1]. ImportError without pyautoattack.
    """

    unit_box: ClassVar[bool] = True
    library: ClassVar[Library] = Library("pyautoattack", "autoattack", "pyautoattack")

    norm: Literal["l1", "l2", "linf"] = "l2"  # type: ignore[misc]
    version: Literal["standard", "plus", "rand"] = "standard"
    attacks: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for field, known in {"norm": tuple(ORDERS), "version": tuple(VERSIONS)}.items():
            value = getattr(self, field)
            if value not in known:
                raise ValueError(
                    f"expected the {field} of AutoAttack, got {value!r}; "
                    f"{hint(str(value), known, 'it has')}"
                )
        self.library.load()
        if self.attacks is not None:
            object.__setattr__(self, "attacks", tuple(self.attacks))
        unknown = next((name for name in self.running if name not in VERSIONS["plus"]), None)
        if unknown is not None or not self.running:
            raise ValueError(
                f"expected attacks of AutoAttack, got {unknown or self.attacks!r}; "
                f"{hint(str(unknown), VERSIONS['plus'], 'it has')}"
            )
        super().__post_init__()

    @property
    def running(self) -> tuple[str, ...]:
        """The attacks that it consists of."""
        return VERSIONS[self.version] if self.attacks is None else tuple(self.attacks)

    def used(self) -> dict[str, Any]:
        """AutoAttack as it is used: release, attacks, and what each of them is set to."""
        theirs = self._built(None, Call(10, 0, (0.0, 1.0)))
        settings = {
            name: {key: getattr(getattr(theirs, name), key) for key in sorted(own)}
            for name, own in self._settable().items()
        }
        return {
            "library": self.library.name,
            "norm": self.norm,
            "attacks": list(self.running),
            "options": settings,
        }

    @property
    def _owner(self) -> str:
        return "AutoAttack"

    def _kind(self) -> Kind:
        return Kind(self.norm)

    def _entry(self) -> Callable[..., Any]:
        entry: Callable[..., Any] = self.library.load().AutoAttack
        return entry

    def _given(self) -> dict[str, Any]:
        """The options, each of which one of the attacks has at least."""
        known = set().union(*self._settable().values())
        for name in self.options:
            if name not in known:
                raise ValueError(
                    f"expected an option of the attacks of AutoAttack, got {name!r}; "
                    f"{hint(name, known, 'they have')}"
                )
        return dict(self.options)

    def _settable(self) -> Mapping[str, set[str]]:
        """The options that each of its attacks has and that are not those of the whole."""
        theirs = self._entry()(model=None)
        fixed = {"norm", "eps", "seed", "loss", "targeted", "verbose", "device", "loss_fn"}
        found = {}
        for name in MEMBERS:
            member = getattr(theirs, name)
            taken = set(inspect.signature(type(member).__init__).parameters) - fixed
            found[name] = {key for key in taken & set(vars(member)) if _plain(getattr(member, key))}
        return found

    def _built(self, model: LogG | None, call: Call) -> Any:
        """Their AutoAttack, with the options on each of its attacks that has them."""
        theirs = self._entry()(
            model=model,
            norm=SPELLED[self.norm],
            eps=self.epsilon,
            seed=call.seed,
            version="standard" if self.attacks is not None else self.version,
            device="cpu" if model is None else model.place.device,
        )
        theirs.attacks_to_run = list(self.running)
        settable = self._settable()
        for name in MEMBERS:
            member = getattr(theirs, name)
            for key, value in self.options.items():
                if key in settable[name]:
                    setattr(member, key, value)
            if "n_target_classes" in settable[name]:
                member.n_target_classes = min(member.n_target_classes, call.num_classes - 1)
        return theirs

    def _search(self, model: LogG, x: Tensor, y: Tensor, call: Call) -> Tensor:
        self._check_unit_box(call)
        if self.targeted:
            raise self._refuse_target()
        for name in self.running:
            if call.num_classes < CLASSES.get(name, 2):
                raise RefusedError(
                    f"expected at least {CLASSES[name]} classes for {name} of AutoAttack, got "
                    f"{call.num_classes}; give attacks=['apgd-ce', 'fab-t', 'square']"
                )
        theirs = self._built(model, call)
        found: Tensor = theirs.run_standard_evaluation(x, y, batch_size=len(x))[0]
        return found


def _plain(value: object) -> bool:
    return isinstance(value, (bool, int, float))
