"""The fields of a dataclass as the plain numbers and switches that its annotations declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from numbers import Real
from typing import Any


def settle_fields(options: Any) -> None:
    """Make the fields annotated int, float or bool, or None too, hold just that.

        settle_fields(self)     # in __post_init__: epsilon=np.float64(0.5) becomes 0.5

    A checkpoint holds plain values only: with a number of numpy in it no run could go on from it.
    ValueError, naming the field, for another kind of value: a text, a bool for a number, a number
    for a bool. A default stays as it is.
    """
    for field in fields(options):
        value = getattr(options, field.name)
        declared = field.type.__name__ if isinstance(field.type, type) else str(field.type)
        kinds = {part.strip() for part in declared.split("|")}
        kind = next((name for name in _KINDS if kinds <= {name, "None"}), None)
        if kind is None or value is field.default or (value is None and "None" in kinds):
            continue
        convert, wanted = _KINDS[kind]
        plain = convert(value.item() if getattr(value, "ndim", None) == 0 else value)
        if plain is None:
            raise ValueError(f"expected {field.name} to be {wanted}, got {value!r}")
        object.__setattr__(options, field.name, plain)


def _switch(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, int):
        return _integer(value)
    return float(value) if isinstance(value, Real) else None


_KINDS: dict[str, tuple[Callable[[object], Any], str]] = {
    "bool": (_switch, "true or false"),
    "int": (_integer, "an integer"),
    "float": (_number, "a number"),
}
