"""The verbs of the command line, registered beside their definition and found without an import.

    @VERBS.register("merge", positionals=("source", "others*"))
    def merge(source: Path, others: list[Path], out: Path | None = None) -> None:
        '''Merge records of the same run.

        Args:
            source: the first record
            ...
        '''

A verb needs no more, here or in a plug-in (entry points ``rsmooth.verbs``). The first paragraph of
the docstring is its summary; the parameters are its options and YAML keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rsmooth.registry import Registry

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Manner:
    """How a verb is called.

    positionals: options whose names may be left out, in this order; one with a star takes all the
    rest. resumes: whether the same command continues what was interrupted. instead: options of
    parts that the verb decides itself, and so refuses, with the option that says it; None where
    none does.
    """

    positionals: tuple[str, ...] = ()
    resumes: bool = False
    instead: Mapping[str, str | None] = field(default_factory=dict)


class VerbRegistry(Registry):
    """Verbs: functions whose parameters are options, or dataclasses of options."""

    def register(
        self,
        name: str,
        *,
        positionals: tuple[str, ...] = (),
        resumes: bool = False,
        instead: Mapping[str, str | None] | None = None,
    ) -> Callable[[T], T]:
        """A decorator that registers a function as the verb ``name``; see ``Manner``."""
        enter = super().register(name)

        def note(function: T) -> T:
            setattr(function, "manner", Manner(positionals, resumes, instead or {}))  # noqa: B010
            return enter(function)

        return note


def manner(function: Callable[..., Any]) -> Manner:
    """What ``register`` noted of a verb."""
    noted: Manner = getattr(function, "manner", Manner())
    return noted


VERBS = VerbRegistry("verb", "rsmooth.verbs", ("rsmooth.cli", "VERBS"))
