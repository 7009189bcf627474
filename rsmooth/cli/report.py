"""``rsmooth report``: run folders and published logs side by side, from their records only."""

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
    unit: str | None = None,
    title: str = "Certified accuracy",
    out: Path | None = None,
) -> None:
    """Compare run folders, journals and published logs.

    A report has tables, paired differences, curves, provenance and caveats, for each norm and kind
    of certificate.

    Args:
        logs: the records to compare; the first is the baseline of the differences
        names: names of the records in the report; default: the parts in which their paths differ
        radii: radii of the tables, e.g. 0.25,0.5; default: chosen from the data
        linf: linf radii of a further table, e.g. 2/255,4/255
        dimension: values per image, C*H*W, for --linf and logs that do not record it; 3072 for
            CIFAR-10
        unit: what the radii are measured in, of tables that do not say it: l1, l2, linf, or other
            words, e.g. "degrees of rotation"; default: l2
        title: of the document and of its figures
        out: folder for report.md, report.csv, report.tex and the curves; default: print only
    """
    from rsmooth.report.document import report as compose

    if not logs:
        raise ValueError(
            "expected at least one run folder or log, got none; name them after the verb"
        )
    made = compose(
        list(logs),
        out,
        radii=None if radii is None else list(radii),
        names=names,
        title=title,
        linf=None if linf is None else list(linf),
        dimension=dimension,
        unit=unit,
    )
    print(made.markdown)
    for path in made.files:
        print(f"wrote {path}")
