"""Attacks of other libraries in tests: quick ones, under the filters that their warnings need."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from rsmooth.registry import ATTACKS

MODULES = {
    "torchattacks": "torchattacks",
    "autoattack": "pyautoattack",
    "art": "art",
    "advlib": "adv_lib",
}
QUICK = {
    "torchattacks": {"attack": "PGDL2", "options": {"steps": 5}},
    "autoattack": {"attacks": ["apgd-ce"], "options": {"n_iter": 8}},
    "art": {"attack": "ProjectedGradientDescent", "options": {"max_iter": 5, "eps_step": 0.2}},
    "advlib": {"attack": "ddn", "options": {"steps": 15}},
}


@contextmanager
def theirs() -> Iterator[None]:
    """Their warnings are theirs; ours, which name no category of their own, stay errors."""
    with warnings.catch_warnings():
        # At import: adv_lib takes LooseVersion from distutils; ART reads types of NumPy.
        warnings.filterwarnings("ignore", message=".*distutils", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(art|adv_lib)\b")
        yield


def need(name: str) -> None:
    """Skip the test where the library of the attack ``name`` is not installed."""
    if name in MODULES and find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed")


def quick(name: str, epsilon: float = 0.5, **options: object):
    """The attack called ``name``, of few steps on g; the test is skipped where it is missing."""
    need(name)
    with theirs():
        return ATTACKS.create(
            name, epsilon=epsilon, **{"target": "smoothed", **QUICK[name], **options}
        )
