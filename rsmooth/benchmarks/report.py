"""Reports of our runs: the tables of the library, the published rows, the machines."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.across_seeds import across_seeds
from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.beside import beside, beside_at_linf, comparable, published_kind, write_csv
from rsmooth.benchmarks.folder import noted, runs_of
from rsmooth.benchmarks.training_time import training_time
from rsmooth.plumbing.paths import user_path
from rsmooth.report.collecting import LeftOut
from rsmooth.report.document import report
from rsmooth.report.page.document import write_page
from rsmooth.report.tables import to_markdown


def report_folders(paths: Sequence[Path], **options: Any) -> str:
    """The report of run folders, folders of runs and logs, as of ``report_runs``.

        report_folders([Path("runs/digits")], out=Path("runs/digits"))

    Title and options of a single folder of runs are by default those of its preset. So this is the
    report that ``run`` wrote there.
    """
    folders = [user_path(path) for path in paths]
    words: dict[str, Any] = {"title": "Report"}
    if len(folders) == 1 and (known := noted(folders[0])) is not None:
        words |= known.words
    runs: list[Path] = []
    left_out: list[LeftOut] = []
    for folder in folders:
        found = runs_of(folder)
        runs += found.runs
        left_out += found.left_out
    tolerant = [path for path in runs if path not in folders]
    return report_runs(runs, tolerant=tolerant, left_out=left_out, **{**words, **options})


def report_runs(
    folders: Sequence[Path],
    *,
    title: str,
    out: Path | None = None,
    radii: Sequence[float] | None = None,
    reference: str | None = None,
    brief: bool = False,
    linf: Sequence[float] | None = None,
    dimension: int | None = None,
    html: Path | None = None,
    common: bool = False,
    tolerant: Collection[Path] = (),
    left_out: Sequence[LeftOut] = (),
) -> str:
    """The report of run folders or logs as Markdown; its files go to ``out``.

        report_runs([Path("runs/digits/smoothadv")], title="Digits", radii=[0.25, 0.5])

    reference: "cifar10" or "imagenet" adds the published rows for the same subset of images; None
    or "none" adds none. linf, dimension, common, tolerant, left_out: as in
    ``rsmooth.report.report``; the published linf rows at those radii are added too. html: a file
    for the page of the runs. brief: return only the tables and the names of the files. ValueError
    for an unknown reference.
    """
    folders = [user_path(folder) for folder in folders]
    out = None if out is None else user_path(out)
    made = report(
        folders,
        radii=radii,
        title=title,
        linf=linf,
        dimension=dimension,
        training=[training_time(folder) for folder in folders],
        common=common,
        tolerant=tolerant,
        left_out=left_out,
    )
    if html is not None:
        write_page(made, html)
    further = [across_seeds(made.paths, made.table.radii), _machines(made.paths)]
    quoted = comparable(made, reference)
    if reference is not None and reference != "none":
        further += [beside(made, quoted, reference), beside_at_linf(made, quoted, reference)]
    further = [section for section in further if section]
    if out is not None:
        made = made.write(out, further)
        table = published_kind(made)
        if quoted and table is not None:
            write_csv(table, quoted, out / "beside_published.csv")
    if not brief:
        return "\n".join([*made.sections, *further])
    tables = "\n".join(to_markdown(group.table) for group in made.groups)
    return (
        tables + "".join(f"\nwrote {path}" for path in made.files if path.suffix != ".pdf") + "\n"
    )


def _machines(folders: Sequence[Path]) -> str:
    """The section with the machines of the runs: a line per machine."""
    origins: dict[str, list[str]] = {}
    for folder in folders:
        path = folder / SUMMARY
        if path.is_file():
            summary = json.loads(path.read_text(encoding="utf-8"))
            origins.setdefault(_machine(summary["provenance"]), []).append(folder.name)
    if not origins:
        return ""
    return (
        "## Measured on\n\n"
        + "\n".join(f"- {', '.join(names)}: {text}" for text, names in origins.items())
        + "\n"
    )


def _machine(made: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items() if number)
    where = made["gpu"] or f"{made['cpu']}, {made['threads']} of {made['cores']} threads"
    return (
        f"{where}; Python {made['python']}, {versions}; commit {made['commit']}; "
        f"`{made['command']}`; {made['date'][:10]}"
    )
