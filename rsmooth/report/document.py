"""The report: one document of tables, differences, provenance and warnings, with data and figures.

Runs that state different things have tables and figures of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsmooth.plumbing.numbers import check_radius
from rsmooth.report.formats import to_csv, to_latex
from rsmooth.report.kinds import KindsTable, kinds_csv, kinds_section, kinds_table
from rsmooth.report.linf import LinfTable, linf_csv, linf_section, linf_table
from rsmooth.report.plots import accuracy_figure, probability_figure, save_figure
from rsmooth.report.runs import Run, TrainingTime, by_statement, default_radii, load_runs
from rsmooth.report.sections import (
    caveats_section,
    differences_section,
    envelope_section,
    intervals_section,
    overview,
    provenance_section,
    table_section,
    votes_section,
)
from rsmooth.report.tables import Table, build_table


@dataclass(frozen=True)
class Group:
    """Runs of one statement: one norm, one kind.

        report(["runs/a", "runs/b"]).groups[0].table

    linf: None where it was not asked for.
    """

    runs: tuple[Run, ...]
    table: Table
    linf: LinfTable | None = None

    @property
    def counted(self) -> list[Run]:
        """The runs that kept their votes."""
        return [run for run in self.runs if run.log.counts is not None]

    @property
    def sections(self) -> list[str]:
        """All that is said about the group, in Markdown, without empty sections."""
        found = [
            table_section(self.runs, self.table),
            envelope_section(self.runs, self.table),
            "" if self.linf is None else linf_section(self.linf),
            intervals_section(self.runs, self.table),
            differences_section(self.runs, self.table),
            votes_section(self.counted),
        ]
        return [section for section in found if section]


@dataclass(frozen=True)
class Report:
    """A finished report: its runs, one group per norm and kind, and the files written.

        made = report(["runs/a", "runs/b"])
        print(made)                                  # the document, without figures
        made = made.write("out")                     # files: report.md, report.csv, curves.png ...

    ``table`` and ``linf`` are those of the first group. ``sections`` are the parts of the document.
    ``kinds`` is the one table of all kinds at linf radii, where any run is deterministic.
    """

    runs: tuple[Run, ...]
    groups: tuple[Group, ...]
    title: str
    files: tuple[Path, ...] = ()
    kinds: KindsTable | None = None

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
    def sections(self) -> list[str]:
        """The document in Markdown, piece by piece, without figures."""
        found = [
            f"# {self.title}\n",
            overview([group.table for group in self.groups]),
            *(section for group in self.groups for section in group.sections),
            "" if self.kinds is None else kinds_section(self.kinds),
            provenance_section(self.runs),
            caveats_section(self.runs),
        ]
        return [section for section in found if section]

    @property
    def markdown(self) -> str:
        return "\n".join(self.sections)

    def write(self, folder: str | Path, further: Sequence[str] = ()) -> Report:
        """Write the document, its data and its figures; returns the report with ``files``.

            report(["runs/a", "runs/b"]).write("out").files

        folder: made where it is missing.
        further: sections in Markdown, behind the others.

        The files of the first group are report.csv, report.tex, curves.png and curves.pdf, and
        probabilities.png and .pdf where votes were kept. The names of the other groups' files have
        their norm and kind: report-linf-deterministic.csv. linf.csv and kinds.csv hold all groups.
        """
        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        texts: dict[str, str] = {"report.md": ""}  # first among the files; written last
        pictures: list[Path] = []
        shown: list[str] = []
        for number, group in enumerate(self.groups):
            norm, kind = group.table.norm, group.table.kind
            end = f"-{norm}-{kind}" if number else ""
            texts |= {f"report{end}.csv": to_csv(group.table)}
            texts |= {f"report{end}.tex": to_latex(group.table)}
            title = self.title if len(self.groups) == 1 else f"{self.title} ({norm}, {kind})"
            written, links = _figures(group, out, end, title)
            pictures += written
            shown += links
        tables = [group.linf for group in self.groups if group.linf is not None]
        if tables:
            texts["linf.csv"] = linf_csv(tables)
        if self.kinds is not None:
            texts["kinds.csv"] = kinds_csv(self.kinds)
        texts["report.md"] = "\n".join([*self.sections, *further, *shown])
        for name, content in texts.items():
            (out / name).write_text(content, encoding="utf-8")
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

    Runs are grouped by norm and kind. Each group has its own table, intervals, curves and
    differences, with its first run as the baseline. Errors are those of ``load_runs`` and
    ``linf_table``, and ValueError for what is no radius.
    """
    if linf is None and dimension is not None:
        raise ValueError(
            f"expected linf radii beside dimension={dimension}, got none; it says what they cover "
            "in l2"
        )
    loaded = load_runs(runs, names, training, unit)
    wanted = None if radii is None else sorted({check_radius(radius) for radius in radii if radius})
    groups = tuple(_group(each, wanted, linf, dimension) for each in by_statement(loaded))
    made = Report(tuple(loaded), groups, title, kinds=_kinds(loaded, linf, dimension))
    return made if out_dir is None else made.write(out_dir)


def _group(
    runs: Sequence[Run],
    radii: Sequence[float] | None,
    linf: Sequence[float] | None,
    dimension: int | None,
) -> Group:
    table = build_table(runs, default_radii(runs) if radii is None else radii)
    norms = runs[0].statement.norm != "other"  # of other radii, no linf radius follows
    other = None if linf is None or not norms else linf_table(runs, linf, dimension)
    return Group(tuple(runs), table, other)


def _kinds(
    runs: Sequence[Run], linf: Sequence[float] | None, dimension: int | None
) -> KindsTable | None:
    """All runs at the linf radii that were asked for; else the proved ones at their own."""
    proved = [run for run in runs if run.statement.group == ("linf", "deterministic")]
    if not proved:
        return None
    if linf is not None:
        return kinds_table(runs, linf, dimension)
    return kinds_table(proved, default_radii(proved))


def _figures(group: Group, out: Path, end: str, title: str) -> tuple[list[Path], list[str]]:
    """Draw a group's figures; returns their files, and the lines that show them."""
    alt = f"Certified accuracy against {group.table.norm} radius"
    drawn = {f"curves{end}": (alt, accuracy_figure(group.runs, title=title))}
    if group.counted:
        alt = "Probability of the true class under noise"
        drawn[f"probabilities{end}"] = (alt, probability_figure(group.counted, title=title))
    files = [path for stem, (_, each) in drawn.items() for path in save_figure(each, out / stem)]
    return files, [f"![{alt}]({stem}.png)\n" for stem, (alt, _) in drawn.items()]
