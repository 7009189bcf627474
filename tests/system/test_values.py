"""Public values that hold tensors or arrays are compared as objects: == of arrays is no answer."""

from __future__ import annotations

from dataclasses import is_dataclass
from importlib import import_module

import pytest

PACKAGES = "attacks bounds certify data defenses evaluate models noise records report training"


def holding_arrays() -> list[type]:
    found = {}
    for package in PACKAGES.split():
        module = import_module(f"rsmooth.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type) and is_dataclass(value):
                kinds = " ".join(str(field.type) for field in value.__dataclass_fields__.values())
                if any(kind in kinds for kind in ("Tensor", "NDArray", "FloatArray", "Floats")):
                    found[value] = name
    return sorted(found, key=found.__getitem__)


@pytest.mark.parametrize("kind", holding_arrays())
def test_values_with_arrays_compare_and_hash_by_identity(kind: type) -> None:
    assert kind.__eq__ is object.__eq__
    assert kind.__hash__ is object.__hash__
