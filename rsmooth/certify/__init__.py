"""Certificates of smoothed classifiers: drawing the votes and proving what they mean.

``certify`` and ``predict`` are the algorithms of Cohen et al. 2019 on tensors; ``certify_dataset``
certifies a data set into a journal that survives interruptions. ``rsmooth.records`` reads what they
leave, without a model.
"""

import inspect
import sys
from types import ModuleType
from typing import Any

import lazy_loader as lazy

import rsmooth.records

_own, _names, _public = lazy.attach_stub(__name__, __file__)
__all__ = sorted({*_public, *rsmooth.records.__all__})


def __getattr__(name: str) -> Any:
    """Names of this package, and those of ``rsmooth.records``, which lay here before."""
    return getattr(rsmooth.records, name) if name in rsmooth.records.__all__ else _own(name)


def __dir__() -> list[str]:
    return list(__all__)


class _CallablePackage(ModuleType):
    """Lets ``from rsmooth import certify; certify(g, x)`` call the function of that name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _own("certify")(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_own("certify"))


sys.modules[__name__].__class__ = _CallablePackage
