"""rsmooth: train, attack and certify randomized-smoothing classifiers.

The public names, each imported when it is first used, so that ``import rsmooth`` costs next to
nothing. ``rsmooth.certify`` is the package and, called, its function of the same name.
"""

from importlib import import_module

import lazy_loader as lazy

_attribute, _names, _public = lazy.attach_stub(__name__, __file__)
__all__ = sorted([*_public, "certify"])


def __getattr__(name: str) -> object:
    return import_module("rsmooth.certify") if name == "certify" else _attribute(name)


def __dir__() -> list[str]:
    return list(__all__)
