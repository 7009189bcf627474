"""``rsmooth report``: run folders and published logs side by side, from their records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsmooth.cli.verbs import VERBS


@VERBS.register("report", positionals=("logs*",))
def report(
    logs: Sequence[Path],
    names: Sequence[str] | None = None,
    radii: Sequence[float] | None = None,
    linf: Sequence[float] | None = None,
    dimension: int | None = None,
    title: str = "Certified accuracy",
    out: Path | None = None,
) -> None:
    """Compare run folders, journals and published logs: table, differences, provenance, warnings,
    curves.

    Args:
        logs: what to compare; the first is the baseline of the differences
        names: their names in the report; default: what tells the paths apart
        radii: l2 radii of the table, e.g. 0.25,0.5; default: what suits the data
        linf: linf radii of a further table, e.g. 2/255,4/255 (for l1 read the l2 table)
        dimension: values of an image, C*H*W, for --linf where a log does not say it; 3072 for
            CIFAR-10
        title: of the document and of its figures
        out: folder for report.md, report.csv, report.tex and the curves; default: print only
    """
    from rsmooth.report.document import report as compose

    if not logs:
        raise ValueError(
            "expected at least one run folder or log, got none; give them behind the verb"
        )
    made = compose(
        list(logs),
        out,
        radii=None if radii is None else list(radii),
        names=names,
        title=title,
        linf=None if linf is None else list(linf),
        dimension=dimension,
    )
    print(made.markdown)
    for path in made.files:
        print(f"wrote {path}")
