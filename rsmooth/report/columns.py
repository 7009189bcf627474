"""Columns of a table by name, for tables that show only some."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rsmooth.plumbing.values import pixel_value
from rsmooth.report.tables import Table, header_of


def radii_of(columns: Sequence[str]) -> list[float]:
    """The radii among names of columns, in their order.

    radii_of(["clean", "0.25", "r=2/255", "ACR"])      # [0.25, 2 / 255]
    """
    found = (_radius(name) for name in columns)
    return [radius for radius in found if radius is not None]


def places_of(columns: Sequence[str] | None, table: Table) -> list[int]:
    """Where the columns stand in ``header_of(table)``, behind the method; all of them for None.

        places_of(["clean", "0.25"], table)      # [0, 3, 4]

    A radius may be written as 0.25 or r=0.25. ValueError for a column that the table lacks.
    """
    header = header_of(table)
    if columns is None:
        return list(range(len(header)))
    if not columns:
        raise ValueError(f"expected columns among {', '.join(header)}, got none; name some")
    wanted = [name for name in columns if name != "method"]
    return [0, *(_place(name, header, table) for name in wanted)]


def _place(name: str, header: Sequence[str], table: Table) -> int:
    if name in header:
        return header.index(name)
    radius = _radius(name)
    for number, each in enumerate(table.radii):
        if radius is not None and math.isclose(radius, each, rel_tol=1e-9):
            return header.index(f"r={table.radius_names[number]}")
    more = "" if radius is None else "; add the radius with radii (--radii)"
    raise ValueError(f"expected columns among {', '.join(header)}, got {name!r}{more}")


def _radius(name: str) -> float | None:
    try:
        return float(pixel_value(name.removeprefix("r=")))
    except ValueError:
        return None
