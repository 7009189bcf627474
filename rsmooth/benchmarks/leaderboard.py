"""``python -m benchmarks leaderboard``: our results, published logs and tables on one page."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsmooth.benchmarks import reference
from rsmooth.benchmarks.place import CHECKOUT, FILES, PROGRAM
from rsmooth.benchmarks.reference import IMAGES, PROTOCOLS
from rsmooth.plumbing import exits
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.paths import user_path
from rsmooth.records.files import read_log
from rsmooth.records.log import IntArray
from rsmooth.report.board import build_board
from rsmooth.report.collecting import Collection, FoundLog, LeftOut, collect
from rsmooth.report.entries import MEASURED, PUBLISHED, QUOTED, Entry, Quoted
from rsmooth.report.page.leaderboard import write_leaderboard
from rsmooth.report.runs import Run

_NOT_CERTIFIED = "clean accuracy of the envelope's best runs"  # a kind of rows without certificates


def main(argv: list[str] | None = None) -> int:
    """Write the page, and return the exit status.

    main(["--html", "leaderboard.html", "--logs", "published_logs"])
    """
    parser = argparse.ArgumentParser(
        allow_abbrev=False, prog=f"{PROGRAM} leaderboard", description=__doc__
    )
    parser.add_argument("--html", type=user_path, required=True, help="the file to write")
    parser.add_argument(
        "--logs",
        type=user_path,
        nargs="+",
        default=[],
        help="folders of published logs, with or without tar archives (default: none)",
    )
    parser.add_argument(
        "--results",
        type=user_path,
        default=FILES / "results",
        help="what was measured here (default: benchmarks/results of the checkout)",
    )
    parser.add_argument("--title", default="Certified accuracy")
    options = parser.parse_args(argv)
    return exits.run(lambda: _write(options), "benchmarks")


def _write(options: argparse.Namespace) -> int:
    if CHECKOUT is not None and not options.results.is_dir():
        raise FileNotFoundError(f"expected a folder of results, got no such one: {options.results}")
    ours = measured(options.results)
    theirs = [collect(folder) for folder in options.logs]
    entries = [
        *(entry(found, MEASURED) for found in ours.logs),
        *(entry(found, PUBLISHED) for each in theirs for found in each.logs),
        *quoted(),
    ]
    left_out = [*ours.left_out, *(each for found in theirs for each in found.left_out)]
    board = build_board(entries, left_out)
    path = write_leaderboard(board, options.html, options.title)
    rows = sum(len(group.entries) for group in board.groups)
    print(f"{len(board.groups)} tables with {rows} rows, {len(board.left_out)} files left out")
    print(f"wrote {path}")
    return 0


def measured(results: Path) -> Collection:
    """The logs of our results: run folders, and journals beside the models that we ship."""
    found = Collection()
    folders = {path.parent for path in results.glob("**/certificates.*")}
    journals = set(results.glob("shipped/*/*.jsonl"))
    for path in sorted(folders | journals):
        name = path.relative_to(results).as_posix()
        try:
            found.logs.append(FoundLog(read_log(path), "rsmooth", f"benchmarks/results/{name}"))
        except (RecordError, OSError) as error:
            found.left_out.append(LeftOut(f"benchmarks/results/{name}", str(error)))
    return found


def entry(found: FoundLog, origin: str) -> Entry:
    """A log as a row."""
    run = Run(found.method, found.log)
    own = found.path.removeprefix("benchmarks/results/").removesuffix(".jsonl")
    recorded = run.setting("dataset")
    name = recorded.get("name") if isinstance(recorded, dict) else None
    named = name if name in ("digits", *IMAGES) else None
    noise = run.sigma if run.sigma is not None else run.noise_words
    if origin == MEASURED:
        run = Run(own, found.log)
    elif noise is None and run.statement.kind == "probabilistic":
        noise = "σ not stated" if found.sigma is None else found.sigma
    source = found.path if origin == MEASURED else found.source
    data, split = named or found.data, _split(recorded)
    if data is not None and split not in (None, "test"):
        data = f"{data} ({split})"  # other images of the same idx
    return Entry(run.name, origin, source, data, noise, run, note="; ".join(_notes(found, run)))


def _split(recorded: Any) -> str | None:
    return recorded.get("split") if isinstance(recorded, dict) else None


def _notes(found: FoundLog, run: Run) -> list[str]:
    """What else to know about a row: samples, whether few radii were decided, remarks."""
    n = run.setting("n")
    said = [] if n is None else [f"n = {int(n):,}"]
    return [*said, *(["only these radii were decided"] if run.asked else []), *found.notes]


def quoted() -> Iterator[Entry]:
    """All rows of the published tables but those that are not certified accuracies."""
    for name in reference.table_names():
        for row in reference.read_table(name):
            if row.kind == _NOT_CERTIFIED:
                continue
            note = "; ".join(filter(None, ["" if row.kind == "run" else row.kind, row.note]))
            yield Entry(
                row.label + ("" if row.sound else " (not sound)"),
                QUOTED,
                f"{row.source} ({name})",
                row.dataset,
                row.sigma,
                quoted=Quoted(
                    {radius: value / 100 for radius, value in row.accuracy.items()},
                    row.images,
                    row.acr,
                    None if row.abstained is None else row.abstained / 100,
                    sound=row.sound,
                ),
                idx=_protocol(row.dataset, row.images),
                measure=_measure(row),
                kind="deterministic" if row.deterministic else "probabilistic",
                note=note,
            )


def _measure(row: reference.Quoted) -> str:
    if row.deterministic:
        return "linf"
    return "linf by containment, as l2 radius" if row.kind.startswith("linf") else "l2"


def _protocol(data: str, images: int | None) -> IntArray | None:
    """The images of a published row, where its number is that of the field's usual ones."""
    for step in (PROTOCOLS[data], 1):
        usual = np.arange(0, IMAGES[data], step)
        if len(usual) == images:
            return usual
    return None
