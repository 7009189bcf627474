"""Packages that only some parts need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def optional(module: str, what: str, install: str) -> ModuleType:
    """A module of a package that need not be installed; ImportError, with the remedy, without it.

        timm = optional("timm", "networks of timm", "'rsmooth[timm]'")

    what: needs it, in words. install: what to give to ``pip install``.

    Where the package is there but cannot be imported, the error says why.
    """
    try:
        return import_module(module)
    except ImportError as error:
        missing = getattr(error, "name", None) in (module, module.split(".")[0])
        found = "none" if missing else f"one that cannot be imported ({error})"
        raise ImportError(
            f"expected {module.split('.')[0]} for {what}, found {found}; install it: "
            f"pip install {install}"
        ) from error
