"""The published table of certificates: one line per image, with its provenance beside it.

Its columns are ``idx label predict radius correct time``. ``dialects`` reads all forms that people
publish. Our tables have all digits of the radius, and their provenance beside them. ``radius`` is
an l2 radius. In other norms the column is ``radius_l1``, ``radius_linf`` or
``radius_other``, so that no tool takes it for l2.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import replace_file
from rsmooth.records.dialects import RADIUS_COLUMNS, parse_table
from rsmooth.records.journal import canonical_json
from rsmooth.records.log import COLUMNS
from rsmooth.records.statement import Statement

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """A table as it was read: ``columns`` by name, (N,) each, in the order of the file.

    provenance: that beside the table. Without one, the norm that the header names.
    """

    columns: dict[str, NDArray[Any]]
    provenance: dict[str, Any] = field(default_factory=dict)


def read_table(path: Path, unit: str | None = None) -> Table:
    """Read a published table; rows are checked one by one, not against each other.

        read_table(Path("sigma_0.25")).columns["radius"]

    unit: what the radii are measured in, where neither header nor provenance says it: "l1", "l2",
        "linf", or other words, such as "degrees of rotation".

    RecordError with file and line for a missing column, a row that was cut off, and a bad value.
    RecordError too for a header of another norm than the provenance beside it states.
    """
    raw = path.read_bytes()
    provenance = _read_provenance(path, raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{path}, line {raw[: error.start].count(10) + 1}: expected a text table, got bytes "
            f"that are no UTF-8 ({error.reason}); is this a certification log?"
        ) from None
    named, columns = parse_table(path, text, None if provenance else unit)
    return Table(columns, _checked_norm(path, named, provenance))


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
        provenance_file(path),
        json.dumps(beside, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n",
    )
    replace_file(path, raw)


def _header(norm: str) -> tuple[str, ...]:
    """The columns of a table whose radii are in ``norm``."""
    return tuple(RADIUS_COLUMNS[norm] if name == "radius" else name for name in COLUMNS)


def _checked_norm(path: Path, named: str, provenance: dict[str, Any]) -> dict[str, Any]:
    """The provenance of a table whose header names this norm or unit.

    RecordError where the two contradict.
    """
    if not provenance:
        if named == "other":
            raise RecordError(
                f"{path}, line 1: expected the unit of the column radius_other in "
                f"{provenance_file(path).name}, got no such file; put it back, or "
                "give unit= (--unit on the command line)"
            )
        said = Statement.in_unit(named, method="not recorded")
        return {} if named == "l2" else {"statement": said.record()}
    try:
        stated = Statement.of(provenance).norm
    except RecordError as error:
        raise RecordError(f"{provenance_file(path)}: {error}") from None
    if stated != named:
        raise RecordError(
            f"{path}, line 1: expected the column {RADIUS_COLUMNS[stated]}, since "
            f"{provenance_file(path).name} states {stated} radii, got {RADIUS_COLUMNS[named]}; one "
            "of the two is of another log: export it again"
        )
    return provenance


def provenance_file(path: Path) -> Path:
    """Where an exported table keeps what it states: beside it."""
    return path.with_name(path.name + ".json")


def _read_provenance(path: Path, raw: bytes) -> dict[str, Any]:
    beside = provenance_file(path)
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
