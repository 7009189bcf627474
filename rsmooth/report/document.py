"""The report: one document of tables, differences, provenance and warnings, with data and figures.

Runs that state different things have tables and figures of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.numbers import check_radius
from rsmooth.plumbing.paths import user_path
from rsmooth.report.blocks import Section
from rsmooth.report.collecting import LeftOut
from rsmooth.report.columns import places_of, radii_of
from rsmooth.report.common import on_common_images
from rsmooth.report.figures import save_figures
from rsmooth.report.formats import to_csv
from rsmooth.report.kinds import KindsTable, kinds_csv, kinds_section, kinds_table
from rsmooth.report.linf import LinfTable, linf_csv, linf_section, linf_table
from rsmooth.report.looks import Page, needed_for_figures
from rsmooth.report.paper import as_word, to_latex
from rsmooth.report.reading import read_runs
from rsmooth.report.runs import Run, by_statement, default_radii
from rsmooth.report.sections import (
    caveats_section,
    differences_section,
    intervals_section,
    overview,
    provenance_section,
    table_section,
    votes_section,
)
from rsmooth.report.tables import Table, build_table
from rsmooth.report.training_time import TrainingTime


@dataclass(frozen=True)
class Group:
    """Runs of one statement: one norm, one kind.

        report(["runs/a", "runs/b"]).groups[0].table

    linf: None where it was not asked for.
    baseline: the run that the others are compared with; None without a sound one.
    """

    runs: tuple[Run, ...]
    table: Table
    linf: LinfTable | None = None
    baseline: Run | None = None

    @property
    def counted(self) -> list[Run]:
        """The runs that kept their votes."""
        return [run for run in self.runs if run.log.counts is not None]

    @property
    def blocks(self) -> list[Section]:
        """All that is said about the group."""
        return [
            *table_section(self.runs, self.table),
            *([] if self.linf is None else linf_section(self.linf)),
            *intervals_section(self.runs, self.table),
            *differences_section(self.runs, self.table, self.baseline),
            *votes_section(self.counted),
        ]


@dataclass(frozen=True)
class Report:
    """A finished report: its runs, one group per norm and kind, and the files written.

        made = report(["runs/a", "runs/b"])
        print(made)                                  # the document, without figures
        made = made.write("out")                     # files: report.md, report.csv, curves.png ...

    ``table`` and ``linf`` are those of the first group. ``blocks`` are the parts of the document,
    ``sections`` the same in Markdown. ``kinds`` is the one table of all kinds at linf radii, where
    any run is deterministic. ``columns`` and ``width`` are those of tables and figures for a paper.
    ``paths`` are where the runs were read; ``left_out`` what is named, but has nothing to show.
    """

    runs: tuple[Run, ...]
    groups: tuple[Group, ...]
    title: str
    files: tuple[Path, ...] = ()
    kinds: KindsTable | None = None
    columns: tuple[str, ...] | None = None
    width: float | None = None
    paths: tuple[Path, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def __str__(self) -> str:
        return self.markdown

    @property
    def table(self) -> Table:
        return self.groups[0].table

    @property
    def linf(self) -> LinfTable | None:
        return self.groups[0].linf

    def group(self, norm: str, kind: str) -> Group | None:
        """The group of this norm and kind; None where no run states it."""
        found = (each for each in self.groups if (each.table.norm, each.table.kind) == (norm, kind))
        return next(found, None)

    @property
    def kinds_blocks(self) -> list[Section]:
        """The table of all kinds at linf radii, where there is one."""
        return [] if self.kinds is None else kinds_section(self.kinds)

    @property
    def blocks(self) -> list[Section]:
        """The document piece by piece, without figures."""
        return [
            Section(self.title, level=1),
            *overview([group.table for group in self.groups]),
            *(section for group in self.groups for section in group.blocks),
            *self.kinds_blocks,
            *provenance_section(self.runs),
            *caveats_section(self.runs, self.left_out),
        ]

    @property
    def sections(self) -> list[str]:
        """The document in Markdown, piece by piece, without figures."""
        return [section.markdown for section in self.blocks]

    @property
    def markdown(self) -> str:
        return "\n".join(self.sections)

    def write(self, folder: str | Path, further: Sequence[str] = ()) -> Report:
        """Write the document, its data and its figures; returns the report with ``files``.

            report(["runs/a", "runs/b"]).write("out").files

        folder: made where it is missing.
        further: sections in Markdown, behind the others.

        The files of the first group are report.csv, report.tex and figures, each as .png and .pdf:
        curves; probabilities where votes were kept; differences to the baseline where runs are on
        the same images; multiples, a panel per method, for three methods or more. The names of the
        other groups' files have their norm and kind: report-linf-deterministic.csv. linf.csv and
        kinds.csv hold all groups.
        """
        needed_for_figures()  # before any file
        out = user_path(folder)
        out.mkdir(parents=True, exist_ok=True)
        texts: dict[str, str] = {"report.md": ""}  # first among the files; written last
        pictures: list[Path] = []
        shown: list[str] = []
        for number, group in enumerate(self.groups):
            table = group.table
            kind = f"{table.norm}, {table.kind}"
            end = f"-{as_word(table.norm)}-{table.kind}" if number else ""
            title = self.title if len(self.groups) == 1 else f"{self.title} ({kind})"
            texts[f"report{end}.csv"] = to_csv(table)
            texts[f"report{end}.tex"] = to_latex(
                table, self.columns, caption=title, width=self.width
            )
            written, links = save_figures(group.runs, group.baseline, out, end, title, self.width)
            pictures += written
            shown += links
        tables = [group.linf for group in self.groups if group.linf is not None]
        if tables:
            texts["linf.csv"] = linf_csv(tables)
        if self.kinds is not None:
            texts["kinds.csv"] = kinds_csv(self.kinds)
        texts["report.md"] = "\n".join([*self.sections, *further, *shown])
        for name, content in texts.items():
            replace_file(out / name, content.encode(), sync=False)
        return replace(self, files=(*(out / name for name in texts), *pictures))


def report(
    runs: Sequence[str | Path],
    out_dir: str | Path | None = None,
    *,
    radii: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    title: str = "Certified accuracy",
    linf: Sequence[float] | None = None,
    dimension: int | None = None,
    training: Sequence[TrainingTime | None] | None = None,
    unit: str | None = None,
    baseline: str | None = None,
    columns: Sequence[str] | None = None,
    width: float | None = None,
    common: bool = False,
    tolerant: Collection[Path] = (),
    left_out: Sequence[LeftOut] = (),
) -> Report:
    """Compare run folders, journals and published logs side by side.

        report(["runs/smoothadv", "sigma_0.25"], "out", radii=[0.25, 0.5], linf=[2 / 255])

    out_dir: where ``Report.write`` writes its files; None writes none.
    radii: of the tables, each read in its table's own norm, beside the clean accuracy. The default
        follows the data.
    names: one per run. The default is the shortest path endings that differ.
    linf: linf radii for a further table of each group.
    dimension: values per image, as in ``linf_table``.
    training: times, as in ``load_runs``.
    unit: of the radii in tables that do not say it, as in ``read_log``.
    baseline: the name of the run that those of its group are compared with. The default is the
        first sound one of each group.
    columns: of report.tex, in this order behind the method, such as ["clean", "0.25", "ACR"]; all
        by default. Where ``radii`` is None, their radii are those of all tables.
    width: of figures, and of the column that report.tex is for, in inches; their text has at least
        7 points at that width. By default figures are 7.2 inches wide.
    common: whether only the images count that every run has, as in ``on_common_images``. So 500
        images are compared with a published log of 10,000.
    tolerant: those of the runs that are left out where they cannot be read, and named.
    left_out: further runs that are named as not shown.

    A run that has no certified image yet is named as unfinished; at least one run must have some.
    Runs are grouped by norm and kind. Each group has its own table, intervals, curves and
    differences. Errors are those of ``load_runs``, ``on_common_images`` and ``linf_table``, and
    ValueError for what is no radius, no column, no run, and for a width that no page has.
    """
    if linf is None and dimension is not None:
        raise ValueError(
            f"expected linf radii beside dimension={dimension}, got none; it says what they cover "
            "in l2"
        )
    if width is not None:
        Page(width)  # before anything is read
    read = read_runs(runs, names, training, unit, tolerant)
    loaded = list(read.runs)
    loaded = on_common_images(loaded) if common else loaded
    asked = radii if radii is not None or columns is None else radii_of(columns) or None
    wanted = None if asked is None else sorted({check_radius(radius) for radius in asked if radius})
    chosen = None if baseline is None else _named(loaded, baseline)
    groups = tuple(_group(each, wanted, linf, dimension, chosen) for each in by_statement(loaded))
    for group in groups:
        places_of(columns, group.table)  # an unknown one is refused before anything is written
    made = Report(
        tuple(loaded),
        groups,
        title,
        kinds=_kinds(loaded, linf, dimension),
        columns=None if columns is None else tuple(columns),
        width=width,
        paths=read.paths,
        left_out=(*read.left_out, *left_out),
    )
    return made if out_dir is None else made.write(out_dir)


def _group(
    runs: Sequence[Run],
    radii: Sequence[float] | None,
    linf: Sequence[float] | None,
    dimension: int | None,
    baseline: Run | None,
) -> Group:
    table = build_table(runs, default_radii(runs) if radii is None else radii)
    other = None if linf is None or not _has_linf(runs[0]) else linf_table(runs, linf, dimension)
    sound = (run for run in runs if run.statement.sound)
    first = baseline if baseline in runs else next(sound, None)
    return Group(tuple(runs), table, other, first)


def _has_linf(run: Run) -> bool:
    """Whether linf radii follow from what it states: from other radii than of a norm none do."""
    return run.statement.norm != "other"


def _named(runs: Sequence[Run], name: str) -> Run:
    """The sound run of that name; ValueError without one."""
    known = {run.name: run for run in runs if run.statement.sound}
    if name not in known:
        raise ValueError(
            f"expected the baseline among {', '.join(known)}, got {name!r}; choose a sound run by "
            "its name in the report"
        )
    return known[name]


def _kinds(
    runs: Sequence[Run], linf: Sequence[float] | None, dimension: int | None
) -> KindsTable | None:
    """All runs at the linf radii that were asked for; else the proved ones at their own."""
    proved = [run for run in runs if run.statement.group == ("linf", "deterministic")]
    if not proved:
        return None
    if linf is not None:
        return kinds_table([run for run in runs if _has_linf(run)], linf, dimension)
    return kinds_table(proved, default_radii(proved))
