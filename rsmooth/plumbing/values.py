"""What the value of an option may look like on the command line and in YAML."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from rsmooth.plumbing.paths import user_path


class WholeNumber(int):
    """A whole number: 500, 1e5."""


class Switch:
    """true or false; only a name for the parser, since bool has no subclasses."""


class PixelValue(float):
    """A finite number, also written as a fraction: 0.25, 64/255."""


class PixelValues(tuple[float, ...]):
    """Several such numbers: a YAML list, or 0.25,0.5,64/255 on the command line."""


class Numbers(tuple[int, ...]):
    """Several whole numbers: a YAML list, or 3,5,8 on the command line."""


class OnePath:
    """A file or a folder; only a name for the parser, since what is read is a plain Path."""


class Paths(tuple[Path, ...]):
    """Several files or folders: a YAML list, or one of them."""


class Names(tuple[str, ...]):
    """Several names: a YAML list, or a,b on the command line."""


def whole_number(value: object) -> WholeNumber:
    """500, "500" or "1e5" as a whole number; ValueError for anything else."""
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        if isinstance(value, str) and value.strip().lstrip("+-").isdigit():
            return WholeNumber(value)  # exact, as large as a seed may be
        if not float(value).is_integer():
            raise ValueError
        return WholeNumber(value if isinstance(value, int) else float(value))
    except (ValueError, OverflowError):
        raise ValueError(f"expected a whole number, got {value!r}") from None


def switch(value: object) -> bool:
    """True, "true" or "yes" as True, likewise for False; ValueError for anything else."""
    known = {"true": True, "yes": True, "false": False, "no": False}
    if isinstance(value, (bool, str)) and str(value).lower() in known:
        return known[str(value).lower()]
    raise ValueError(f"expected true or false, got {value!r}")


def one_path(value: object) -> Path:
    """A path; ValueError for what is none, and for an empty text, which would be this folder."""
    if not isinstance(value, (str, PathLike)):
        raise ValueError(f"expected a path, got {value!r}; put a name like a number in quotes")
    if value == "":  # of a variable of the shell that is not set
        raise ValueError("expected a path, got an empty text; write . for this folder")
    return user_path(value)


def paths(value: object) -> Paths:
    """A list of paths, one path, or '["a", "b"]' as a tuple; ValueError for anything else."""
    try:
        if isinstance(value, str) and value.startswith("["):
            value = json.loads(value)
        listed = [value] if isinstance(value, (str, PathLike)) else value
        if not isinstance(listed, (list, tuple)):
            raise ValueError
        if not all(isinstance(item, (str, PathLike)) for item in listed):
            raise ValueError
    except ValueError:
        raise ValueError(f"expected a list of paths, got {value!r}") from None
    return Paths(map(one_path, listed))


def numbers(value: object) -> Numbers:
    """A list of whole numbers, one number, or "3,5,8" as a tuple; ValueError for anything else."""
    try:
        return Numbers(int(whole_number(item)) for item in _several(value))
    except ValueError:
        raise ValueError(f"expected whole numbers such as 3,5,8, got {value!r}") from None


def names(value: object) -> Names:
    """A list of names, or "a,b" as a tuple; ValueError for anything else."""
    listed = _listed(value) if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise ValueError(f"expected names such as a,b, got {value!r}")
    return Names(str(item) for item in listed)


def pixel_value(value: str | float) -> PixelValue:
    """0.25, "0.25" or "64/255" as a number; ValueError for anything else."""
    try:
        if isinstance(value, str) and "/" in value:
            above, below = value.split("/")
            number = float(above) / float(below)
        else:
            number = float(value)
    except (ValueError, TypeError, ArithmeticError):  # an integer too large for a float, too
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"expected a number such as 0.25 or 64/255, got {value!r}")
    return PixelValue(number)


def pixel_values(value: object) -> PixelValues:
    """A list of numbers, one number, or "0.25,64/255" as a tuple; ValueError for anything else."""
    return PixelValues(float(pixel_value(item)) for item in _several(value))


def _several(value: object) -> Sequence[Any]:
    """The items of a list, of a text with commas, or of one value."""
    if isinstance(value, str):
        return _listed(value)
    return value if isinstance(value, (list, tuple)) else [value]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.strip("[] ").split(",") if part.strip()]


def plain(value: Any) -> Any:
    """A value of the types above as the built-in one that it is."""
    kinds: tuple[Any, ...] = (bool, int, float, tuple)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(value)
    return value
