"""Attack libraries as optional extras: imported on use, their names and options checked."""

from __future__ import annotations

import inspect
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from rsmooth.plumbing.names import close_names

ORDERS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}


class Library(NamedTuple):
    """A library of attacks: the module that holds them, its extra and its name on PyPI.

    Library("torchattacks", extra="torchattacks", project="torchattacks").load().PGDL2
    """

    module: str
    extra: str
    project: str
    remedy: str = ""

    def load(self) -> ModuleType:
        """The module; ImportError, naming the extra, where it is not installed."""
        if not self._is_there():
            raise ImportError(
                f"expected the package {self.project} for the attack {self.extra!r}, got none; "
                f"pip install 'rsmooth[{self.extra}]'{self.remedy}"
            )
        return import_module(self.module)

    @property
    def name(self) -> str:
        """Project and release, for records."""
        try:
            return f"{self.project} {version(self.project)}"
        except PackageNotFoundError:  # a copy on the path
            return self.project

    def _is_there(self) -> bool:
        try:
            return find_spec(self.module) is not None
        except (ModuleNotFoundError, ValueError):  # of a parent that is missing, or another package
            return False


class Kind(NamedTuple):
    """What is known of a foreign attack.

    norm: that of its perturbations; None where an option of the attack chooses it.
    epsilon: the option that epsilon is given to; None for an attack that looks for the smallest
        perturbation and knows no epsilon.
    minimises: whether it looks for the smallest perturbation.
    chosen_by: the option that chooses the norm.
    """

    norm: str | None
    epsilon: str | None = "eps"
    minimises: bool = False
    chosen_by: str = "norm"


def minimal(norm: str | None, chosen_by: str = "norm") -> Kind:
    """The kind of an attack that looks for the smallest perturbation."""
    return Kind(norm, None, True, chosen_by)


def kind_of(name: object, kinds: Mapping[str, Kind], project: str, known: Iterable[str]) -> Kind:
    """What is known of the attack called ``name``; ValueError for one of no known norm.

    known: all names of attacks that the library has.
    """
    if isinstance(name, str) and name in kinds and name in (known := set(known)):
        return kinds[name]
    if isinstance(name, str) and name in known:
        raise ValueError(
            f"expected an attack of {project} that keeps an l1, l2 or linf norm, got {name}, which "
            f"does not, or is not known to; it has {', '.join(sorted(kinds))}"
        )
    raise ValueError(
        f"expected an attack of {project}, got {name!r}; {hint(str(name), kinds, 'it has')}"
    )


def hint(name: str, known: Iterable[str], otherwise: str) -> str:
    """The names that come close, as a question; all names where none does."""
    names = list(known)
    close = close_names(name, names)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"{otherwise} {', '.join(sorted(names))}"


def norm_name(value: object, owner: str) -> str:
    """A norm in anybody's spelling (2, "L2", "inf", "Linf") as "l1", "l2" or "linf"; ValueError."""
    for name, order in ORDERS.items():
        if str(value).lower() in (name, f"{order:g}", f"{order}") and not isinstance(value, bool):
            return name
    raise ValueError(
        f"expected the norm l1, l2 or linf for {owner}, got {value!r}; "
        f"{hint(str(value), ORDERS, 'take one of')}"
    )


def plain_options(
    given: Mapping[str, Any], entry: Callable[..., Any], reserved: Iterable[str], owner: str
) -> dict[str, Any]:
    """The given options under the names that ``entry`` has for them, their values plain.

    entry: a class or a function of the library. reserved: parameters that are not the user's.
    Greek letters may be spelled out: gamma for γ. ValueError for an unknown option, and for one
    that is not the user's.
    """
    parameters = inspect.signature(entry).parameters
    own = {name for name in parameters if name not in set(reserved)}
    spelled = {spelled_out(name): name for name in own}
    options = {}
    for name, value in given.items():
        target = name if name in own else spelled.get(name)
        if target is None and name in {*parameters, *map(spelled_out, parameters)}:
            raise ValueError(
                f"expected options of {owner} without {name!r}, which the call gives it; leave it "
                "out (its epsilon is the epsilon of the attack)"
            )
        if target is None:
            raise ValueError(
                f"expected an option of {owner}, got {name!r}; {hint(name, spelled, 'it has')}"
            )
        options[target] = value.item() if getattr(value, "ndim", None) == 0 else value
    return options


def defaults_of(entry: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a class or function that have a default, with it."""
    parameters = inspect.signature(entry).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def spelled_out(name: str) -> str:
    """A parameter's name with Greek letters in words: "γ_init" -> "gamma_init"."""

    def word(letter: str) -> str:
        called = unicodedata.name(letter, "")
        return called.rpartition(" ")[2].lower() if called.startswith("GREEK SMALL") else letter

    return "".join(map(word, name))
