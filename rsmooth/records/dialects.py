"""The text of a table of certificates, in the dialects that people publish.

Columns are found by name. Needed are ``idx label predict radius correct``. ``time`` may be missing,
and further columns are left out with a note. Cells are separated by tabs, commas, semicolons or
spaces. Times are in plain seconds or ``h:mm:ss.ffffff`` with days in front. ``correct`` is 0 or 1,
or False or True.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.log import COLUMNS

logger = logging.getLogger(__name__)

RADIUS_COLUMNS = {"l2": "radius", "l1": "radius_l1", "linf": "radius_linf", "other": "radius_other"}
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", " ": "spaces"}
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_CLOCK = re.compile(r"(?:([0-9]+) days?, )?([0-9]+):([0-5][0-9]):([0-5][0-9])(\.[0-9]{6})?")
_TRUTH = {"true": 1, "false": 0}


class _Layout(NamedTuple):
    """How the cells of a line are separated, how many there are, and which is which column."""

    separator: str
    names: tuple[str, ...]
    places: dict[str, int]  # by our names
    norm: str


class Survey(NamedTuple):
    """A table with all its faults.

    separator: tabs, commas, semicolons or spaces. names: of all columns. norm: of the radii.
    columns: (N,) each, of the rows that can be read. lines: their numbers in the file. radii: as
    they are written. damaged: what is wrong with the other rows. ended: whether the last line is
    whole.
    """

    separator: str
    names: tuple[str, ...]
    norm: str
    columns: dict[str, NDArray[Any]]
    lines: tuple[int, ...]
    radii: tuple[str, ...]
    damaged: tuple[str, ...]
    ended: bool


def parse_table(path: Path, text: str, unit: str | None = None) -> tuple[str, dict[str, Any]]:
    """The norm that the header names, and the six columns (N,) by name, in the order of the file.

        norm, columns = parse_table(Path("sigma_0.25"), Path("sigma_0.25").read_text())

    unit: what a column ``radius`` (or ``exact_radius``) is measured in, from somebody who knows.

    RecordError with file and line for a header without a needed column or with radii of a kind that
    is not known, for a row that was cut off, and for a bad value. Rows are checked one by one, not
    against each other.
    """
    lines, ended = _lines(text)
    if not ended and lines[-1]:
        logger.warning(
            "%s: the last line has no end; if the table was cut off, its last time may be too "
            "short",
            path,
        )
    layout = _layout(path, lines[0], unit)
    columns = [name for name in COLUMNS if name in layout.places]
    rows = [
        _parse_row(line, layout, columns, f"{path}, line {number}")
        for number, line in enumerate(lines[1:], start=2)
    ]
    return layout.norm, _as_columns(columns, rows)


def survey_table(path: Path, text: str, unit: str | None = None) -> Survey:
    """What is in a table, damaged rows included, for somebody who looks for all of its faults.

        survey_table(Path("sigma_0.25"), Path("sigma_0.25").read_text()).damaged

    RecordError for a header that is none; see ``parse_table``.
    """
    lines, ended = _lines(text)
    layout = _layout(path, lines[0], unit)
    columns = [name for name in COLUMNS if name in layout.places]
    rows, numbers, damaged, texts = [], [], [], []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows.append(_parse_row(line, layout, columns, f"line {number}"))
        except RecordError as error:
            damaged.append(str(error))
            continue
        numbers.append(number)
        cells = _cells(line, layout.separator, len(layout.names), "")
        texts.append(cells[layout.places["radius"]])
    return Survey(
        _SEPARATORS[layout.separator],
        layout.names,
        layout.norm,
        _as_columns(columns, rows),
        tuple(numbers),
        tuple(texts),
        tuple(damaged),
        ended,
    )


def parse_seconds(text: str) -> float:
    """Seconds from ``15.4``, ``0:00:14.172309``, ``0:00:14`` or ``1 day, 2:03:04``.

    ValueError for anything else.
    """
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        return parse_number(text)
    days, hours, minutes, seconds, fraction = clock.groups()
    return (
        int(days or 0) * 86400
        + int(hours) * 3600
        + int(minutes) * 60
        + int(seconds)
        + float(fraction or 0)
    )


def parse_number(text: str) -> float:
    """A decimal number >= 0; ValueError for anything else, NaN and infinity included."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"expected a decimal number, got {text!r}")
    return float(text)


def _lines(text: str) -> tuple[list[str], bool]:
    """The lines of a table without blank ones at its end, and whether the last one is whole."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    ended = lines[-1] == ""
    while len(lines) > 1 and not lines[-1].strip():
        lines.pop()
    return lines, ended


def _as_columns(
    columns: Sequence[str], rows: Sequence[tuple[float, ...]]
) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {
        name: np.array([row[at] for row in rows], dtype=_PARSERS[name][1])
        for at, name in enumerate(columns)
    }
    if "time" not in found:
        found["time"] = np.zeros(len(rows))
    return found


def _layout(path: Path, line: str, unit: str | None) -> _Layout:
    where = f"{path}, line 1"
    separator = next((each for each in _SEPARATORS if each in line.strip()), "\t")
    names = tuple(_cells(line, separator, 0, where))
    for name in {*COLUMNS, *RADIUS_COLUMNS.values()}:
        if names.count(name) > 1:
            raise RecordError(f"{where}: expected one column {name}, got {names.count(name)}")
    missing = [name for name in COLUMNS if name not in (*names, "radius", "time")]
    if missing:
        raise RecordError(
            f"{where}: expected the columns {' '.join(COLUMNS)} (time may be missing), separated "
            f"by {', '.join(_SEPARATORS.values())}, got none called {' '.join(missing)} in "
            f"{line[:80]!r}; is this a certification log?"
        )
    column, norm = _radius_column(where, names, unit)
    places = {name: names.index(name) for name in COLUMNS if name in names}
    places["radius"] = names.index(column)
    further = [name or "(without a name)" for name in names if name not in (*COLUMNS, column)]
    if further:
        logger.warning("%s: further columns are not read: %s", path, ", ".join(further))
    if "time" not in names:
        logger.warning("%s: no column time; the times of the images are not known", path)
    return _Layout(separator, names, places, norm)


def _radius_column(where: str, names: Sequence[str], unit: str | None) -> tuple[str, str]:
    """The column of the radii and their norm, or the unit that the user says."""
    ours = {column: norm for norm, column in RADIUS_COLUMNS.items() if column in names}
    if len(ours) > 1:
        raise RecordError(f"{where}: expected one column of radii, got {' and '.join(ours)}")
    if "radius" in ours:
        return "radius", "l2" if unit is None else unit
    if ours:
        [(column, norm)] = ours.items()
        if norm == "other" and unit is not None:
            return column, unit
        if unit not in (None, norm):
            raise RecordError(f"{where}: expected radii in {unit}, as was said, got {column}")
        return column, norm
    if "exact_radius" in names and unit is not None:
        return "exact_radius", unit
    raise _no_radii(where, names)


def _no_radii(where: str, names: Sequence[str]) -> RecordError:
    others = [name for name in names if "radi" in name.lower()]
    if others:
        return RecordError(
            f"{where}: expected radii in a column radius (l2), radius_l1 or radius_linf, got "
            f"{', '.join(others)}, {_about(others[0])}; where you know what they are, rename the "
            "column to one of these (and multiply radii in other units than those of [0, 1] pixels)"
        )
    return RecordError(
        f"{where}: expected a column radius, got {' '.join(names)}; these are predictions without "
        "certified radii: certify the model, or name its certification log"
    )


def _about(name: str) -> str:
    """What a foreign name of a column of radii says about them."""
    lowered = name.lower()
    for sign, norm in (("inf", "linf"), ("l1", "l1"), ("l2", "l2"), ("l0", "l0")):
        if sign in lowered:
            return f"which are {norm} radii by their name"
    if name == "exact_radius":
        return "whose norm the table does not say (unit=, or --unit on the command line, says it)"
    return "which are of another norm, scaled, or not said to be certified"


def _cells(line: str, separator: str, count: int, where: str) -> list[str]:
    """The cells of a line; the last one of ``count`` may hold the separator of ``1 day, 2:03``."""
    if separator == " ":
        cells = line.split()
    elif separator == "\t":
        cells = [cell.strip() for cell in line.split("\t")]
    else:
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
        except csv.Error as error:
            raise RecordError(
                f"{where}: expected values separated by {_SEPARATORS[separator]}, got {error} in "
                f"{line[:80]!r}; is this a certification log?"
            ) from None
    if count and len(cells) > count and "day" in line:
        joint = " " if separator == " " else f"{separator} "
        cells = [*cells[: count - 1], joint.join(cells[count - 1 :])]
    return cells


def _parse_row(line: str, layout: _Layout, columns: Sequence[str], where: str) -> tuple[float, ...]:
    last = layout.places.get("time") == len(layout.names) - 1
    cells = _cells(line, layout.separator, len(layout.names) if last else 0, where)
    if len(cells) != len(layout.names):
        raise RecordError(
            f"{where}: expected {len(layout.names)} values separated by "
            f"{_SEPARATORS[layout.separator]}, got {len(cells)} in "
            f"{line[:80]!r}; the table is cut off or damaged: delete the line, or certify its "
            "image again"
        )
    try:
        return tuple(_PARSERS[name][0](cells[layout.places[name]]) for name in columns)
    except ValueError as error:
        raise RecordError(f"{where}: {error}, in {line[:80]!r}") from None


def _parse_integer(text: str) -> int:
    if _INTEGER.fullmatch(text) and -(2**63) <= (value := int(text)) < 2**63:
        return value
    raise ValueError(f"expected an integer of 64 bits, got {text!r}")


def _parse_truth(text: str) -> int:
    truth = _TRUTH.get(text.lower())
    return _parse_integer(text) if truth is None else truth


def _parse_radius(text: str) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    if re.fullmatch(r"-[0-9.]+([eE][-+]?[0-9]+)?", text):
        raise ValueError(
            f"expected a radius >= 0, got {text}; a negative one certifies nothing (the lower "
            "bound is below one half): write predict -1 and radius 0 for an abstention"
        )
    if re.fullmatch(r"[-+]?inf(inity)?", text.lower()):
        raise ValueError(
            f"expected a finite radius, got {text}; it says that the probability is 1, which no "
            "number of samples shows: certify the image again with a lower confidence bound"
        )
    raise ValueError(f"expected a decimal number as radius, got {text!r}")


_PARSERS: dict[str, tuple[Callable[[str], float], type]] = {
    "idx": (_parse_integer, np.int64),
    "label": (_parse_integer, np.int64),
    "predict": (_parse_integer, np.int64),
    "radius": (_parse_radius, np.float64),
    "correct": (_parse_truth, np.int64),
    "time": (parse_seconds, np.float64),
}
