"""Names for the parts that users combine: attacks, trainers, objectives, models, data sets.

A registry maps a name, as it stands in a configuration file or on the command line, to the object
that it names. Other packages join through entry points of the registry's group, without a change
here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


class RegistryError(LookupError):
    """A name that is unknown, or taken already."""


class Registry:
    """Named entries of one kind, each a class or a function; third parties join through entry
    points of ``group``.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters a class or function under ``name``; a name that is taken raises
        RegistryError.
        """

        def enter(entry: T) -> T:
            if name in self._entries:
                raise RegistryError(
                    f"expected a new {self.kind} name, got {name!r}, which is "
                    f"{self._entries[name]!r}"
                )
            self._entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        """All names in alphabetical order, those of installed plug-ins included."""
        return sorted({*self._entries, *self._plugins()})

    def get(self, name: str) -> Callable[..., Any]:
        """The entry called ``name``; unknown raises RegistryError with the close matches."""
        if name not in self._entries:
            plugins = self._plugins()
            if name not in plugins:
                raise RegistryError(self._unknown(name))
            self._entries[name] = plugins[name].load()
        return self._entries[name]

    def create(self, name: str, /, **options: Any) -> Any:
        """Call the entry called ``name`` with ``options``."""
        return self.get(name)(**options)

    def describe(self, name: str) -> str:
        """The first line of the entry's docstring."""
        return (self.get(name).__doc__ or "").strip().split("\n")[0]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._plugins()

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self.names())})"

    def _plugins(self) -> dict[str, Any]:
        return {point.name: point for point in entry_points(group=self.group)}

    def _unknown(self, name: str) -> str:
        close = difflib.get_close_matches(str(name), self.names(), n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else f"known: {', '.join(self.names())}"
        )
        return f"expected a registered {self.kind}, got {name!r}; {hint}"


class ModelRegistry(Registry):
    """A registry whose products remember how they were built, so that a checkpoint can say it."""

    def create(self, name: str, /, **options: Any) -> Any:
        """Build the model and note name and options in its ``architecture`` attribute."""
        model = super().create(name, **options)
        model.architecture = {"name": name, "options": options}
        return model


ATTACKS = Registry("attack", "rsmooth.attacks")
TRAINERS = Registry("trainer", "rsmooth.trainers")
OBJECTIVES = Registry("objective", "rsmooth.objectives")
MODELS = ModelRegistry("model", "rsmooth.models")
DATASETS = Registry("data set", "rsmooth.datasets")
