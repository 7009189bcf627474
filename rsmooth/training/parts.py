"""Which parts of a base classifier train, and which stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from torch import nn


def frozen_modules(base: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The sub-modules of these names; ValueError, which lists them, for an unknown one."""
    known = dict(base.named_modules())
    unknown = [name for name in names if name not in known or not name]
    if unknown:
        there = ", ".join(name for name, _ in base.named_children())
        raise ValueError(
            f"expected frozen_parts to name parts of the base classifier, got {unknown}; its "
            f"parts are {there}, and parts of those are named as in 1.conv1"
        )
    return [known[name] for name in names]


def named_part(base: nn.Module, name: str) -> nn.Module:
    """The sub-module of that name; ValueError, which lists them, for an unknown one."""
    known: dict[str, nn.Module] = dict(base.named_modules())
    if name not in known or not name:
        there = ", ".join(child for child, _ in base.named_children())
        raise ValueError(
            f"expected a base classifier with a part {name}, got {type(base).__name__} with the "
            f"parts {there}; build it e.g. as the model denoised"
        )
    return known[name]


def unfrozen_parameters(base: nn.Module, names: Sequence[str]) -> list[nn.Parameter]:
    """The parameters that ask for a gradient and are outside the parts of these names."""
    frozen = {id(own) for part in frozen_modules(base, names) for own in part.parameters()}
    return [own for own in base.parameters() if own.requires_grad and id(own) not in frozen]


@contextmanager
def only_training(base: nn.Module, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """A context in which no other parameter of ``base`` asks for a gradient."""
    chosen = {id(own) for own in parameters}
    others = [own for own in base.parameters() if own.requires_grad and id(own) not in chosen]
    for own in others:
        own.requires_grad_(False)
    try:
        yield
    finally:
        for own in others:
            own.requires_grad_(True)
