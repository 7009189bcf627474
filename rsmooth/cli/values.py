"""What an option may look like on the command line and in YAML: pixel values, lists of them, named parts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Union

Spec = Union[str, dict[str, Any]]  # noqa: UP007 - jsonargparse reads it at run time, under Python 3.10 too
"""A registered name, or a mapping of ``name`` and the entry's options."""


class PixelValue(float):
    """A finite number in [0,1] pixel units, also written as a fraction: 0.25, 64/255."""


class PixelValues(tuple[float, ...]):
    """Several pixel values: a YAML list, or 0.25,0.5,64/255 on the command line."""


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
        value = [part for part in value.strip("[] ").split(",") if part.strip()]
    elif isinstance(value, (int, float)):
        value = [value]
    return PixelValues(float(pixel_value(item.strip() if isinstance(item, str) else item)) for item in value)


def split_spec(spec: Spec, kind: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a spec; ValueError for a mapping without a name."""
    if isinstance(spec, str):
        return spec, {}
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ValueError(f"expected a {kind} with a name, got {dict(spec)!r}; give it as NAME or "
                         "{name: NAME, option: value}")
    return name, options
