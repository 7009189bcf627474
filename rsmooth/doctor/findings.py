"""What was found out about a file: findings with a mark, figures, and commands that go on."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Mark = Literal["ok", "look", "wrong"]
"""Of a finding: as it should be; somebody should look at it; it makes results false or useless."""

_WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

        Finding("look", "batch norm", "5 layers without running statistics")

    mark: "ok", "look" or "wrong". topic: what it is about, in a word or two. text: what was found,
        and where it is no good news, what follows from it or what to do.
    """

    mark: Mark
    topic: str
    text: str


@dataclass
class Report:
    """All that was found out about one file.

        print(examine("checkpoint.pth.tar").text())

    path: of the file, as it was given. kind: what it is, in words.
    findings: in the order in which they are read.
    tables: further lines of text under a title, such as accuracies.
    commands: what to run next, line by line; each works when it is pasted.
    facts: the same as plain values, for machines.
    """

    path: str
    kind: str
    findings: list[Finding] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, mark: Mark, topic: str, text: str, **facts: Any) -> None:
        """Add a finding, and the plain values that it rests on."""
        self.findings.append(Finding(mark, topic, text))
        self.facts.update(facts)

    def marked(self, *marks: Mark) -> list[Finding]:
        """The findings with one of these marks."""
        return [finding for finding in self.findings if finding.mark in marks]

    def text(self) -> str:
        """The report for people, in lines of at most 100 characters but for commands."""
        lines = [f"{self.path}: {self.kind}", ""]
        width = max((len(each.topic) for each in self.findings), default=0)
        for each in self.findings:
            start = f"{each.mark:<6} {each.topic:<{width}}  "
            lines += textwrap.wrap(
                each.text,
                _WIDTH,
                initial_indent=start,
                subsequent_indent=" " * len(start),
                break_long_words=False,
                break_on_hyphens=False,
            )
        for title, rows in self.tables.items():
            lines += ["", title, *(f"  {row}" for row in rows)]
        if self.commands:
            lines += ["", "next:", *(f"  {command}" for command in self.commands)]
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """The report for machines: plain values that JSON holds."""
        return {
            "file": self.path,
            "kind": self.kind,
            "findings": [vars(each) for each in self.findings],
            "commands": self.commands,
            "facts": plain(self.facts),
        }


def plain(value: Any) -> Any:
    """A value of plain Python types, with lists for tuples and text for what JSON does not hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    item = getattr(value, "item", None)
    return plain(item()) if callable(item) else str(value)


def listed(values: Sequence[Any], limit: int = 8) -> str:
    """The first few values in words, and how many more there are."""
    more = f" and {len(values) - limit:,} more" if len(values) > limit else ""
    return ", ".join(map(str, values[:limit])) + more
