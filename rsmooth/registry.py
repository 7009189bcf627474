"""Names for the parts that users combine: attacks, trainers, objectives, models, data, noise.

A registry maps a name, from a configuration file or the command line, to an object. The module of
an entry is imported when the entry is first asked for. Other packages join through entry points of
the registry's group, without a change here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from rsmooth.plumbing.discovery import Found, first_paragraph, registrations, summary
from rsmooth.plumbing.names import check_keywords, close_names

T = TypeVar("T", bound=Callable[..., Any])


class RegistryError(LookupError):
    """A name that is unknown, or taken already."""


class PluginError(RegistryError):
    """An entry of another package that cannot be imported; its cause says why."""


def _place(entry: object) -> tuple[object, object]:
    """Where a class or a function is defined, and its name there."""
    return getattr(entry, "__module__", entry), getattr(entry, "__qualname__", entry)


class Registry:
    """Named entries of one kind, each a class or a function.

        colours = Registry("colour", "my_package.colours")
        colours.register("grey")(lambda level: (level, level, level))
        colours.create("grey", level=0.5)       # (0.5, 0.5, 0.5)

    kind: what an entry is called in messages.
    group: of the entry points by which other packages join.
    home: the package or module of our own entries, and the name by which they register there. None
        where all entries are registered by hand.
    """

    def __init__(self, kind: str, group: str, home: tuple[str, str] | None = None) -> None:
        self.kind = kind
        self.group = group
        self._home = home
        self._entries: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters a class or function under ``name``; RegistryError if taken.

        The same definition again, as of a notebook's cell that is run twice, takes its own place.
        """

        def enter(entry: T) -> T:
            holder: object = self._entries.get(name)
            if holder is not None and _place(holder) == _place(entry):
                holder = None
            elif holder is None and not self._is_own(entry):
                holder = self._own.get(name)
            if holder is not None:
                raise RegistryError(
                    f"expected a new {self.kind} name, got {name!r}, which is {holder!r}; choose "
                    "another name"
                )
            self._entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        """All names in alphabetical order, those of installed plug-ins included."""
        return sorted({*self._own, *self._entries, *self._plugins()})

    def own_names(self) -> list[str]:
        """The names that this package itself brings, in alphabetical order."""
        return sorted(self._own)

    def get(self, name: str) -> Callable[..., Any]:
        """The entry called ``name``.

        RegistryError with the close matches where there is none, and for one of another package
        that cannot be imported.
        """
        if name not in self._entries:
            if name in self._own:
                # The import registers it.
                import_module(self._own[name].module)
            elif name in (plugins := self._plugins()):
                self._entries[name] = self._load(plugins[name])
            else:
                raise RegistryError(self.unknown(name))
        return self._entries[name]

    def create(self, name: str, /, **options: Any) -> Any:
        """Call the entry called ``name`` with ``options``.

        TypeError, with the close names, for an option that it does not take.
        """
        entry = self.get(name)
        check_keywords(entry, options, f"{self.kind} {name!r}")
        return entry(**options)

    def describe(self, name: str) -> str:
        """What the entry's docstring says first, without importing it where the source tells.

        Of an entry of another package that cannot be imported, why it cannot. So one broken package
        hides no other.
        """
        if name in self._own:
            return self._own[name].summary
        plugin = self._plugins().get(name)
        if plugin is not None and name not in self._entries:
            found = summary(plugin.module, plugin.attr)
            if found is not None:
                return found
        try:
            return first_paragraph(self.get(name).__doc__ or "")
        except PluginError as error:
            return f"cannot be loaded: {type(error.__cause__).__name__}: {error.__cause__}"

    def unknown(self, name: object) -> str:
        """The message for a name that is not registered: the close matches, or all names."""
        close = close_names(str(name), self.names())
        known = f"known: {', '.join(self.names())}"
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else known
        return f"expected a registered {self.kind}, got {name!r}; {hint}"

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._own or name in self._plugins()

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self.names())})"

    def _is_own(self, entry: Callable[..., Any]) -> bool:
        """Whether an entry is one of the home package."""
        return self._home is not None and f"{entry.__module__}.".startswith(f"{self._home[0]}.")

    @cached_property
    def _own(self) -> dict[str, Found]:
        return {} if self._home is None else registrations(*self._home)

    def _load(self, point: EntryPoint) -> Any:
        try:
            return point.load()
        except (Exception, SystemExit) as error:  # the code of others may raise anything
            raise PluginError(
                f"expected the {self.kind} {point.name!r} to be there as {point.value}, got "
                f"{type(error).__name__}: {error}; repair or uninstall that package"
            ) from error

    def _plugins(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}


class ModelRegistry(Registry):
    """A registry whose models remember how they were built.

        base = MODELS.create("resnet20", num_classes=10, normalize="cifar10")
        base.architecture   # {"name": "resnet20", "options": {"num_classes": 10, ...}}

    So a file of weights can say what they belong to.
    """

    def create(self, name: str, /, **options: Any) -> Any:
        """Build the model and note name and options in its ``architecture`` attribute.

        A model that was given modules or files says in ``plain_options`` what rebuilds it; None
        where nothing does. Then it has no architecture, and cannot be saved.
        """
        model = super().create(name, **options)
        plain = getattr(model, "plain_options", options)
        model.architecture = None if plain is None else {"name": name, "options": plain}
        note_layers(model)
        return model


def note_layers(model: Any) -> None:
    """Note the layers of the model and their options, as what its noted options make."""
    model.layers_at_creation = _layers(model)


def as_created(model: object) -> bool:
    """Whether a model still has the layers that its options make, with the options of each."""
    return getattr(model, "layers_at_creation", None) in (None, _layers(model))


def _layers(model: Any) -> tuple[str, bytes]:
    """As printed, without addresses and numbers that a file of weights brings; further options."""
    printed = re.sub(r"0x[0-9a-f]+|(?<=Normalize)\(.*", "", repr(model))
    if not hasattr(model, "named_modules"):
        return printed, b""
    from rsmooth.plumbing.layer_options import digest_of_options  # torch is there by now

    return printed, digest_of_options(model)


ATTACKS = Registry("attack", "rsmooth.attacks", ("rsmooth.attacks", "ATTACKS"))
TRAINERS = Registry("trainer", "rsmooth.trainers", ("rsmooth.defenses", "TRAINERS"))
OBJECTIVES = Registry("objective", "rsmooth.objectives", ("rsmooth.objectives", "OBJECTIVES"))
MODELS = ModelRegistry("model", "rsmooth.models", ("rsmooth.models", "MODELS"))
DENOISERS = ModelRegistry("denoiser", "rsmooth.denoisers", ("rsmooth.models", "DENOISERS"))
DATASETS = Registry("data set", "rsmooth.datasets", ("rsmooth.data", "DATASETS"))
NOISES = Registry("noise", "rsmooth.noises", ("rsmooth.noise", "NOISES"))
