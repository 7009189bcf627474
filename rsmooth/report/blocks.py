"""What a report is made of, before it is Markdown or a page: sections of tables and texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rsmooth.report.tables import md_row, md_rule


@dataclass(frozen=True)
class Grid:
    """A table of text cells.

        Grid(("method", "clean"), (("a", "74.8 ± 1.9"), ("b", "80.4 ± 1.8"))).markdown

    names: how many of the first columns are words; the others are figures.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [md_row(*self.header), md_rule(len(self.header), self.names)]
        return "\n".join([*lines, *(md_row(*row) for row in self.rows)])


@dataclass(frozen=True)
class Items:
    """A list of lines, below an introduction that may be empty.

    Items("Best runs:", ("r=0.25 a", "r=0.5 b")).markdown
    """

    intro: str
    lines: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """The list in Markdown."""
        listed = "\n".join(f"- {line}" for line in self.lines)
        return f"{self.intro}\n\n{listed}" if self.intro else listed


Part = Grid | Items | str
"""A table, a list, or a paragraph."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

        Section("Provenance", (Items("", ("a: 500 images",)),)).markdown

    title: empty for parts that go on below the last heading.
    level: 1 for the whole document.
    """

    title: str
    parts: tuple[Part, ...] = ()
    level: int = 2

    @property
    def markdown(self) -> str:
        """The section in Markdown, with a newline at its end."""
        heading = [f"{'#' * self.level} {self.title}"] if self.title else []
        below = (part if isinstance(part, str) else part.markdown for part in self.parts)
        return "\n\n".join([*heading, *below]) + "\n"


def to_markdown(sections: Iterable[Section]) -> str:
    """Sections as one document.

    print(to_markdown(report(["runs/a", "runs/b"]).blocks))
    """
    return "\n".join(section.markdown for section in sections)
