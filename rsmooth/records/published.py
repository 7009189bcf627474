"""The published table of certificates, tab-separated, in all its dialects.

Its columns are ``idx label predict radius correct time``. Published files differ in the time, which
is in plain seconds or ``h:mm:ss.ffffff`` with days in front. They differ in the digits of the
radius, three significant ones or four decimals, and in line ends. Our tables have all digits of the
radius, and their provenance beside them. ``radius`` is an l2 radius. In other norms the column is
``radius_l1`` or ``radius_linf``, so that no tool takes it for l2.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import replace_file
from rsmooth.records.journal import canonical_json
from rsmooth.records.log import COLUMNS
from rsmooth.records.statement import Statement

logger = logging.getLogger(__name__)

_RADIUS_COLUMNS = {"l2": "radius", "l1": "radius_l1", "linf": "radius_linf"}
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_CLOCK = re.compile(r"(?:([0-9]+) days?, )?([0-9]+):([0-5][0-9]):([0-5][0-9])(\.[0-9]{6})?")


@dataclass(frozen=True)
class Table:
    """A table as it was read: ``columns`` by name, (N,) each, in the order of the file.

    provenance: that beside the table. Without one, the norm that the header names.
    """

    columns: dict[str, NDArray[Any]]
    provenance: dict[str, Any] = field(default_factory=dict)


def read_table(path: Path) -> Table:
    """Read a published table; rows are checked one by one, not against each other.

        read_table(Path("sigma_0.25")).columns["radius"]

    RecordError with file and line for a missing header, a row that was cut off, and a bad value.
    RecordError too for a header of another norm than the provenance beside it states.
    """
    raw = path.read_bytes()
    provenance = _read_provenance(path, raw)
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{path}, line {raw[: error.start].count(10) + 1}: expected a text table, got bytes "
            f"that are no UTF-8 ({error.reason}); is this a certification log?"
        ) from None
    if lines[-1] == "":
        lines.pop()
    else:
        logger.warning(
            "%s: the last line has no end; if the table was cut off, its last time may be too "
            "short",
            path,
        )
    lines = [line.removesuffix("\r") for line in lines]
    provenance = _checked_norm(path, lines[0] if lines else "", provenance)
    rows = [
        _parse_row(line, f"{path}, line {number}") for number, line in enumerate(lines[1:], start=2)
    ]
    types = (np.int64, np.int64, np.int64, np.float64, np.int64, np.float64)
    columns = {
        name: np.array([row[place] for row in rows], dtype=kind)
        for place, (name, kind) in enumerate(zip(COLUMNS, types, strict=True))
    }
    return Table(columns, provenance)


def write_table(path: Path, columns: Sequence[NDArray[Any]], provenance: dict[str, Any]) -> None:
    """Write six ``columns`` (N,) as a published table, and ``provenance`` to ``path.json``.

    The second file also holds the checksums of both. The radius column is named after the norm that
    the provenance states.
    """
    lines = ["\t".join(_header(Statement.of(provenance).norm))]
    for idx, label, predict, radius, correct, time in zip(*columns, strict=True):
        # All digits, never rounded. Published tools round to nearest, and so compare radii that
        # were rounded up.
        digits = np.format_float_positional(radius, unique=True, trim="0")
        lines.append(
            f"{idx}\t{label}\t{predict}\t{digits}\t{int(correct)}\t{timedelta(seconds=float(time))}"
        )
    raw = ("\n".join(lines) + "\n").encode()
    beside = {
        "rows": len(lines) - 1,
        "checksums": {"table": hashlib.sha256(raw).hexdigest(), "provenance": _hash(provenance)},
        "provenance": json.loads(canonical_json(provenance)),  # numpy's numbers as plain ones
    }
    replace_file(
        _beside(path),
        json.dumps(beside, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n",
    )
    replace_file(path, raw)


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


def _header(norm: str) -> tuple[str, ...]:
    """The columns of a table whose radii are in ``norm``."""
    return tuple(_RADIUS_COLUMNS[norm] if name == "radius" else name for name in COLUMNS)


def _checked_norm(path: Path, line: str, provenance: dict[str, Any]) -> dict[str, Any]:
    """The provenance of a table with this header; RecordError where the two contradict."""
    named = {_header(norm): norm for norm in _RADIUS_COLUMNS}.get(tuple(line.split("\t")))
    if named is None:
        raise RecordError(
            f"{path}, line 1: expected the tab-separated header {' '.join(COLUMNS)} (radius_l1 or "
            f"radius_linf for radii in those norms), got {line[:80]!r}; is this a certification "
            "log?"
        )
    if not provenance:
        said = Statement(norm=named, method="not recorded")  # type: ignore[arg-type]
        return {} if named == "l2" else {"statement": said.record()}
    try:
        stated = Statement.of(provenance).norm
    except RecordError as error:
        raise RecordError(f"{_beside(path)}: {error}") from None
    if stated != named:
        raise RecordError(
            f"{path}, line 1: expected the column {_RADIUS_COLUMNS[stated]}, since "
            f"{_beside(path).name} states {stated} radii, got {_RADIUS_COLUMNS[named]}; one of the "
            "two is of another log: export it again"
        )
    return provenance


def _parse_row(line: str, where: str) -> tuple[float, ...]:
    cells = line.split("\t")
    if len(cells) != len(COLUMNS):
        raise RecordError(
            f"{where}: expected {len(COLUMNS)} tab-separated values, got {len(cells)} in "
            f"{line[:80]!r}; the table is cut off or damaged: delete the line, or certify its "
            "image again"
        )
    parsers = (
        _parse_integer,
        _parse_integer,
        _parse_integer,
        parse_number,
        _parse_integer,
        parse_seconds,
    )
    try:
        return tuple(parse(cell) for parse, cell in zip(parsers, cells, strict=True))
    except ValueError as error:
        raise RecordError(f"{where}: {error}, in {line[:80]!r}") from None


def _parse_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"expected an integer of 64 bits, got {text!r}")
    return int(text)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_provenance(path: Path, raw: bytes) -> dict[str, Any]:
    beside = _beside(path)
    if not beside.exists():
        return {}
    try:
        content = json.loads(beside.read_bytes())
        digest, wanted = _checksums(content)
        rows, provenance = content["rows"], dict(content["provenance"])
        if wanted not in (None, _hash(provenance)):
            raise ValueError("another checksum than the recorded one")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{beside}: expected the provenance of {path.name} and the checksums of both, got "
            f"{type(error).__name__}: {error}; delete it to read the table without provenance"
        ) from None
    if hashlib.sha256(raw).hexdigest() != digest:
        raise RecordError(
            f"{path}, line {raw.count(10) + 1}: expected the {rows} rows whose checksum is "
            f"recorded in {beside.name}; the table was cut off or changed: export it again"
        )
    if wanted is None:
        logger.warning(
            "%s is an early export without a checksum of the provenance: a change in noise, n or "
            "alpha there would go unnoticed; export it again where its journal is still there",
            beside,
        )
    return provenance


def _checksums(content: dict[str, Any]) -> tuple[str, str | None]:
    """The checksums of table and provenance; None where an early export has none.

    No damage to one name or line makes a new export look like an early one: other keys are refused.
    """
    early = {"rows", "sha256", "provenance"}
    keys = set(content)
    if keys == {"rows", "checksums", "provenance"}:
        return content["checksums"]["table"], str(content["checksums"]["provenance"])
    if keys == early:
        return content["sha256"], None
    if keys == early | {"provenance_sha256"}:
        return content["sha256"], str(content["provenance_sha256"])
    raise ValueError(f"the keys {', '.join(sorted(keys))}")


def _hash(provenance: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(provenance).encode()).hexdigest()
