"""A leaderboard as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsmooth._version import __version__
from rsmooth.records.metrics import (
    abstention_rate,
    average_certified_radius,
    certified_accuracy,
)
from rsmooth.records.statistics import wilson_interval
from rsmooth.report.board import LEVEL, USUAL_ALPHA, USUAL_N, Board, BoardGroup
from rsmooth.report.entries import MEASURED, PUBLISHED, QUOTED, Entry, Quoted
from rsmooth.report.page.charts import accuracy_chart
from rsmooth.report.page.rendering import render, write_html
from rsmooth.report.runs import Run
from rsmooth.report.tables import radius_name

_PLACES = 150  # of a curve
_NAMES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "mnist": "MNIST",
    "fmnist": "Fashion-MNIST",
    "imagenet": "ImageNet",
    "digits": "handwritten digits",
}
_CLASSES = {MEASURED: "measured", PUBLISHED: "", QUOTED: "quoted"}


@dataclass(frozen=True)
class Cell:
    """What a cell shows: a value, its 95 % interval below, and how it ranks."""

    value: str
    interval: str = ""
    mark: str = ""


def write_leaderboard(board: Board, path: str | Path, title: str = "Certified accuracy") -> Path:
    """Write a leaderboard as one file that needs no network; returns its path.

    write_leaderboard(build_board(entries), "leaderboard.html")
    """
    return write_html(leaderboard_page(board, title), path)


def leaderboard_page(board: Board, title: str = "Certified accuracy") -> str:
    """The text of the file that ``write_leaderboard`` writes.

    leaderboard_page(build_board(entries)).startswith("<!doctype html>")
    """
    groups = [_group(group) for group in board.groups]
    return render(
        "leaderboard.html",
        title=title,
        version=__version__,
        groups=groups,
        left_out=board.left_out,
        facets=[
            (name, key, list(dict.fromkeys(group[key] for group in groups)))
            for name, key in (("data set", "data"), ("noise", "noise"), ("images", "subset"))
        ],
        counts=[_count(board, name) for name in (MEASURED, PUBLISHED, QUOTED)],
        level=f"{100 * LEVEL:g} %",
    )


def _count(board: Board, origin: str) -> int:
    """How many rows are of this origin; one that is in several groups counts once."""
    return len(
        {
            entry.source + entry.method + str(entry.noise)
            for group in board.groups
            for entry in group.entries
            if entry.origin == origin
        }
    )


def _group(group: BoardGroup) -> dict[str, Any]:
    noise = noise_name(group.noise, group.kind)
    rows = [_row(group, entry) for entry in group.entries if _has_curve(group, entry)]
    bare = [entry for entry in group.entries if not _has_curve(group, entry)]
    start = group.radii[0] if group.radii else 0.0
    radii = [("clean", False)]
    radii += [(f"r={radius_name(radius, group.measure)}", False) for radius in group.radii]
    return {
        "data": data_name(group.data),
        "noise": noise,
        "subset": group.subset,
        "certificate": f"{group.measure}, {group.kind}",
        "heads": [
            ("method", True),
            ("origin", True),
            *radii,
            ("ACR", False),
            ("abstained", False),
            ("source", True),
        ],
        "pair_heads": [("first", True), ("second", True), *radii],
        "rows": rows,
        "constant": _constant(group),
        "only_acr": [_bare_row(entry) for entry in bare],
        "pairs": _pairs(group),
        "apart": group.apart,
        "chart": accuracy_chart(group.runs, start, _PLACES) if group.runs else None,
    }


def data_name(data: str) -> str:
    """A data set as people write it.

    data_name("cifar10 (validation)")      # "CIFAR-10 (validation)"
    """
    name, blank, rest = data.partition(" ")
    return _NAMES.get(name, name) + blank + rest


def noise_name(noise: float | str | None, kind: str) -> str:
    """The noise of a group in words."""
    if isinstance(noise, str):
        return noise
    if noise is None:
        return "no noise" if kind == "deterministic" else "over several σ"
    return f"σ = {noise:g}"


def _has_curve(group: BoardGroup, entry: Entry) -> bool:
    """Whether a row has a certified accuracy at a radius of the group."""
    if entry.run is not None:
        return True
    assert entry.quoted is not None
    return not group.radii or any(entry.quoted.accuracy.get(radius) for radius in group.radii)


def _row(group: BoardGroup, entry: Entry) -> dict[str, Any]:
    radii = [0.0, *group.radii]
    if entry.run is not None:
        count, brackets = len(entry.run.log), not entry.run.statement.sound
        values, last = _measured(entry.run, radii)
    else:
        assert entry.quoted is not None
        count, brackets = entry.quoted.images or 0, not entry.quoted.sound
        values, last = _quoted(entry.quoted, radii)
    marks = group.marks(entry)
    return {
        **_about(entry),
        "cells": [
            _cell(value, count, mark, brackets and number > 0)
            for number, (value, mark) in enumerate(zip(values, marks, strict=True))
        ],
        "last": last,
    }


def _measured(run: Run, radii: Sequence[float]) -> tuple[list[float | None], list[str]]:
    """The accuracies at the radii, and the cells of ACR and abstentions."""
    shares = certified_accuracy(run.log, radii)
    values = [s if run.decided(r) else None for r, s in zip(radii, shares, strict=True)]
    averaged = run.statement.kind == "probabilistic" and run.asked is None
    acr = f"{average_certified_radius(run.log):.3f}" if averaged else "-"
    abstained = f"{100 * abstention_rate(run.log):.1f}" if run.decided(0.0) else "-"
    return values, [acr, abstained]


def _quoted(row: Quoted, radii: Sequence[float]) -> tuple[list[float | None], list[str]]:
    acr = "-" if row.acr is None else f"{row.acr:.3f}"
    abstained = "-" if row.abstained is None else f"{100 * row.abstained:.1f}"
    return [row.accuracy.get(radius) for radius in radii], [acr, abstained]


def _about(entry: Entry) -> dict[str, str]:
    return {
        "method": entry.method if entry.run is None else _labelled(entry),
        "origin": entry.origin,
        "style": _CLASSES[entry.origin],
        "source": entry.source,
        "note": entry.note,
    }


def _labelled(entry: Entry) -> str:
    """The method, marked where its certificates are known to prove nothing."""
    assert entry.run is not None
    return entry.method + entry.run.label.removeprefix(entry.run.name)


def _cell(value: float | None, count: int, mark: str, brackets: bool) -> Cell:
    if value is None:
        return Cell("-")
    shown = f"({100 * value:.1f})" if brackets else f"{100 * value:.1f}"
    if not count or brackets:
        return Cell(shown, "", mark)
    low, high = wilson_interval(value, count)
    return Cell(shown, f"{100 * float(low):.1f} to {100 * float(high):.1f}", mark)


def _constant(group: BoardGroup) -> dict[str, Any] | None:
    shares = group.constant()
    if shares is None:
        return None
    usual = f"as far as n = {USUAL_N:,} and α = {USUAL_ALPHA:g} go"
    note = "as far as these logs go" if group.runs else usual
    return {"cells": [f"{100 * share:.1f}" for share in shares], "note": note}


def _bare_row(entry: Entry) -> dict[str, str]:
    assert entry.quoted is not None
    clean, acr = entry.quoted.accuracy.get(0.0), entry.quoted.acr
    return {
        **_about(entry),
        "clean": "-" if clean is None else f"{100 * clean:.1f}",
        "acr": "-" if acr is None else f"{acr:.3f}",
    }


def _pairs(group: BoardGroup) -> dict[str, Any] | None:
    """Every pair of logs: differences in points, and whether they are significant."""
    found = group.pairs
    if found is None:
        return None
    names = _distinct(group.compared)
    rows = []
    for one in range(len(names)):
        for other in range(one + 1, len(names)):
            cells = [
                _difference(*values)
                for values in zip(
                    found.difference[one, other],
                    found.error[one, other],
                    found.adjusted[one, other],
                    strict=True,
                )
            ]
            rows.append({"first": names[one], "second": names[other], "cells": cells})
    upper = found.adjusted[np.triu_indices(len(names), 1)]
    return {"rows": rows, "tests": found.tests, "significant": int((upper < LEVEL).sum())}


def _distinct(entries: Sequence[Entry]) -> list[str]:
    """Their methods, with the source where a method is there twice."""
    methods = [entry.method for entry in entries]
    return [
        entry.method if methods.count(entry.method) == 1 else f"{entry.method} ({entry.source})"
        for entry in entries
    ]


def _difference(mean: float, error: float, p: float) -> Cell:
    if np.isnan(p):
        return Cell("-")
    mark = "best" if p < LEVEL else ""
    return Cell(
        f"{100 * mean:+.1f} ± {100 * error:.1f}", f"p={p:.2g}" if p >= 1e-3 else "p<0.001", mark
    )
