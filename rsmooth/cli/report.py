"""``rsmooth report``: run folders and published logs side by side, from their records only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsmooth.cli.verbs import VERBS
from rsmooth.config.specs import Spec


@VERBS.register("report", positionals=("logs*",))
def report(
    logs: Sequence[Path],
    names: Sequence[str] | None = None,
    radii: Sequence[float] | None = None,
    linf: Sequence[float] | None = None,
    dimension: int | None = None,
    unit: str | None = None,
    title: str = "Certified accuracy",
    baseline: str | None = None,
    common: bool = False,
    columns: Sequence[str] | None = None,
    width: float | None = None,
    html: Path | None = None,
    images: Spec | None = None,
    out: Path | None = None,
) -> None:
    """Compare run folders, journals and published logs.

    A report has tables, paired differences, curves, provenance and caveats, for each norm and kind
    of certificate; as a page (--html) also rows per image. Runs without a certified image yet, and
    damaged ones within a folder of runs, are named under "Read with care".

    Args:
        logs: the records to compare, or folders of run folders
        names: names of the records in the report; default: the parts in which their paths differ
        radii: radii of the tables, e.g. 0.25,0.5; default: chosen from the data
        linf: linf radii of a further table, e.g. 2/255,4/255
        dimension: values per image, C*H*W, for --linf and logs that do not record it; 3072 for
            CIFAR-10
        unit: what the radii are measured in, of tables that do not say it: l1, l2, linf, or other
            words, e.g. "degrees of rotation"; default: l2
        title: of the document and of its figures
        baseline: the name of the run that the others are compared with; default: the first
        common: compare on the images that every record has, e.g. 500 of a published log's 10,000
        columns: columns of report.tex behind the method, e.g. clean,0.25,0.5,ACR; default: all
        width: inches that figures and report.tex have in a paper, e.g. 3.25 for a column; default:
            figures of 7.2 inches
        html: file for the report as one page that needs no network
        images: the data set whose images the page shows, e.g. digits; run for the one that the
            first run folder names; default: none
        out: folder for report.md, report.csv, report.tex and the figures; default: print only
    """
    from rsmooth.config.folder import certified_runs, uncertified_runs
    from rsmooth.report.collecting import not_certified
    from rsmooth.report.document import report as compose

    if not logs:
        raise ValueError(
            "expected at least one run folder or log, got none; name them after the verb"
        )
    if images is not None and html is None:
        raise ValueError("expected --html beside --images, got none; name the page, e.g. r.html")
    _check_places(out, html)
    found = certified_runs(logs)
    made = compose(
        found,
        out,
        radii=None if radii is None else list(radii),
        names=names,
        title=title,
        linf=None if linf is None else list(linf),
        dimension=dimension,
        unit=unit,
        baseline=baseline,
        columns=columns,
        width=width,
        common=common,
        tolerant=[path for path in found if path not in logs],
        left_out=not_certified(uncertified_runs(logs)),
    )
    print(made.markdown)
    files = list(made.files)
    if html is not None:
        from rsmooth.cli.thumbnails import thumbnails
        from rsmooth.report.page.document import write_page

        shown = ({}, None) if images is None else thumbnails(images, made.runs, made.paths)
        files.append(write_page(made, html, *shown))
    for path in files:
        print(f"wrote {path}")


def _check_places(out: Path | None, html: Path | None) -> None:
    """ValueError, before any work, for a folder that is a file, and for a page that is a folder."""
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"expected a folder for the report, got the file {out}; name a folder")
    if html is not None and html.is_dir():
        raise ValueError(
            f"expected a file for the page, got the folder {html}; name e.g. {html / 'report.html'}"
        )
