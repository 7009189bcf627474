"""What an option may look like on the command line and in YAML: pixel values, lists of them, named
parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Union

# jsonargparse reads it at run time, under Python 3.10 too.
Spec = Union[str, dict[str, Any]]  # noqa: UP007
"""A registered name, or a mapping of ``name`` and the entry's options."""


class PixelValue(float):
    """A finite number in [0,1] pixel units, also written as a fraction: 0.25, 64/255."""


class PixelValues(tuple[float, ...]):
    """Several pixel values: a YAML list, or 0.25,0.5,64/255 on the command line."""


class Numbers(tuple[int, ...]):
    """Several whole numbers: a YAML list, or 3,5,8 on the command line."""


class Names(tuple[str, ...]):
    """Several names: a YAML list, or a,b on the command line."""


def numbers(value: str | int | Iterable[int | str]) -> Numbers:
    """A list of whole numbers, one number, or "3,5,8" as a tuple; ValueError for anything else."""
    listed = (
        _listed(value)
        if isinstance(value, str)
        else [value]
        if isinstance(value, int)
        else list(value)
    )
    try:
        if not all(isinstance(item, (int, str)) for item in listed):
            raise ValueError
        return Numbers(int(item) for item in listed)
    except ValueError:
        raise ValueError(f"expected whole numbers such as 3,5,8, got {value!r}") from None


def names(value: object) -> Names:
    """A list of names, or "a,b" as a tuple; ValueError for anything else."""
    listed = _listed(value) if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise ValueError(f"expected names such as a,b, got {value!r}")
    return Names(str(item) for item in listed)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.strip("[] ").split(",") if part.strip()]


def pixel_value(value: str | float) -> PixelValue:
    """0.25, "0.25" or "64/255" as a number; ValueError for anything else."""
    try:
        if isinstance(value, str) and "/" in value:
            above, below = value.split("/")
            number = float(above) / float(below)
        else:
            number = float(value)
    except (ValueError, TypeError, ZeroDivisionError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"expected a number such as 0.25 or 64/255, got {value!r}")
    return PixelValue(number)


def pixel_values(value: str | float | Iterable[str | float]) -> PixelValues:
    """A list of numbers, one number, or "0.25,64/255" as a tuple; ValueError for anything else."""
    if isinstance(value, str):
        value = _listed(value)
    elif isinstance(value, (int, float)):
        value = [value]
    return PixelValues(float(pixel_value(item)) for item in value)


def split_spec(spec: Spec, kind: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a spec; ValueError for a mapping without a name."""
    if isinstance(spec, str):
        return spec, {}
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ValueError(
            f"expected a {kind} with a name, got {dict(spec)!r}; give it as NAME or "
            "{name: NAME, option: value}"
        )
    return name, options
