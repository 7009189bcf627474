"""The report: table, differences, provenance and warnings as one document, its data beside it, and
the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsmooth.records.log import image_difference
from rsmooth.records.metrics import (
    base_accuracy_under_noise,
    best_runs,
    certified_accuracy,
    label_probability_quantiles,
    majority_accuracy,
)
from rsmooth.records.statistics import (
    accuracy_interval,
    compare,
    false_certificates,
    radius_interval,
)
from rsmooth.report.caveats import caveats
from rsmooth.report.linf import LinfTable, linf_csv, linf_section, linf_table
from rsmooth.report.plots import accuracy_figure, probability_figure, save_figure
from rsmooth.report.runs import Run, default_radii, load_runs
from rsmooth.report.tables import Table, build_table, md_row, md_rule, to_csv, to_latex, to_markdown

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SETTINGS = {
    "sigma": "σ",
    "n0": "n0",
    "n": "n",
    "alpha": "α",
    "mode": "mode",
    "target": "target",
    "seed": "seed",
    "rsmooth": "rsmooth",
}
_NESTED_SETTINGS = {
    ("dataset", "name"): "data",
    ("dataset", "split"): "split",
    ("noise", "kind"): "noise",
    ("dataset", "fingerprint"): "fingerprint",
    ("model", "hash"): "model",
}


@dataclass(frozen=True)
class Report:
    """A finished report: its runs and tables, the document (also as ``str``), and the files
    written.
    """

    runs: tuple[Run, ...]
    table: Table
    markdown: str
    files: tuple[Path, ...] = ()
    linf: LinfTable | None = None

    def __str__(self) -> str:
        return self.markdown


def report(
    runs: Sequence[str | Path],
    out_dir: str | Path | None = None,
    *,
    radii: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    title: str = "Certified accuracy",
    linf: Sequence[float] | None = None,
    dimension: int | None = None,
) -> Report:
    """Compare run folders, journals and published logs side by side; the first is the baseline of
    the differences.

    ``radii``: of the table, beside the clean accuracy; the default follows the data. ``names``: one
    a run; the default tells the paths apart. ``linf``: linf radii for a further table;
    ``dimension``: as ``linf_table``. With ``out_dir``, writes report.md, report.csv, report.tex,
    curves.png and curves.pdf there, linf.csv if there is such a table, and probabilities.png and
    .pdf if the runs kept their votes. Raises as ``load_runs`` and ``linf_table``.
    """
    if linf is None and dimension is not None:
        raise ValueError(
            f"expected linf radii beside dimension={dimension}, got none; it says what they cover "
            "in l2"
        )
    loaded = load_runs(runs, names)
    wanted = (
        sorted({float(radius) for radius in radii if radius})
        if radii is not None
        else default_radii(loaded)
    )
    table = build_table(loaded, wanted)
    other = None if linf is None else linf_table(loaded, linf, dimension)
    counted = [run for run in loaded if run.log.counts is not None]
    sections = [
        f"# {title}\n",
        _explained(to_markdown(table)),
        _envelope(loaded, table),
        "" if other is None else linf_section(other),
        _intervals(loaded, wanted),
        _differences(loaded, wanted),
        _probabilities(counted),
        _provenance(loaded),
        _caveats(loaded),
    ]
    text = "\n".join(section for section in sections if section)
    made = Report(tuple(loaded), table, text, linf=other)
    return (
        made
        if out_dir is None
        else replace(made, files=_write(Path(out_dir), made, counted, title))
    )


def _write(folder: Path, made: Report, counted: Sequence[Run], title: str) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = save_figure(accuracy_figure(made.runs, title=title), folder / "curves")
    shown = "\n![Certified accuracy against radius](curves.png)\n"
    if counted:
        pictures += save_figure(probability_figure(counted, title=title), folder / "probabilities")
        shown += "\n![Probability of the true class under noise](probabilities.png)\n"
    texts = {
        "report.md": made.markdown + shown,
        "report.csv": to_csv(made.table),
        "report.tex": to_latex(made.table),
    }
    if made.linf is not None:
        texts["linf.csv"] = linf_csv(made.linf)
    for name, content in texts.items():
        (folder / name).write_text(content, encoding="utf-8")
    return (*(folder / name for name in texts), *pictures)


def _explained(table: str) -> str:
    return (
        f"{table}\nAccuracies in %, each ± its standard error over the images. clean: correct and "
        "not abstained; "
        "r: certified at that l2 radius too, and so at that l1 radius. ACR: average certified "
        "radius. training: "
        "time, of the processor where it says CPU (those runs were given a budget of it), else "
        "real. "
        "certification: real time, summed over the images.\n"
    )


def _envelope(runs: Sequence[Run], table: Table) -> str:
    if not any(row.name == "upper envelope" for row in table.rows):
        return ""
    winners = best_runs([run.log for run in runs], table.radii)
    parts = [
        f"r={radius:g} {runs[winner].name}"
        for radius, winner in zip(table.radii, winners, strict=True)
    ]
    return (
        f"Best run at each radius, chosen on these images, which flatters it: {', '.join(parts)}.\n"
    )


def _intervals(runs: Sequence[Run], radii: Sequence[float]) -> str:
    lines = [
        "## 95 % intervals\n",
        md_row("method", "clean", *(f"r={radius:g}" for radius in radii), "ACR"),
        md_rule(len(radii) + 3),
    ]
    for run in runs:
        low, high = accuracy_interval(run.log, [0.0, *radii])
        mean = radius_interval(run.log)
        lines.append(
            md_row(
                run.name,
                *(f"{100 * a:.1f} to {100 * b:.1f}" for a, b in zip(low, high, strict=True)),
                f"{mean[0]:.3f} to {mean[1]:.3f}",
            )
        )
    return "\n".join(lines) + "\n\nWilson's interval; for ACR the bootstrap's.\n"


def _differences(runs: Sequence[Run], radii: Sequence[float]) -> str:
    """Each further run against the first, image by image where both have the same images."""
    if len(runs) < 2:
        return ""
    first = runs[0]
    lines = [
        f"## Paired differences to {first.name}\n",
        md_row("method", "clean", *(f"r={radius:g}" for radius in radii), "ACR"),
        md_rule(len(radii) + 3),
    ]
    weak, apart = [], []
    for run in runs[1:]:
        difference = image_difference(first.log, run.log)
        if difference is None and len(first.log) < 2:
            difference = "one image gives no standard error"
        if difference is not None:
            apart.append(f"- {run.name} cannot be paired with {first.name}: {difference}.")
            continue
        paired = compare(first.log, run.log, [0.0, *radii])
        cells = [
            f"{100 * d:+.1f} ± {100 * e:.1f} ({_p(p)})"
            for d, e, p in zip(
                paired.accuracy, paired.accuracy_error, paired.accuracy_p, strict=True
            )
        ]
        lines.append(
            md_row(
                run.name,
                *cells,
                f"{paired.radius:+.3f} ± {paired.radius_error:.3f} ({_p(paired.radius_p)})",
            )
        )
        weak += [f"- {run.name}: {claim}." for claim in paired.weak_claims()]
    table = "\n".join(lines) if len(apart) < len(runs) - 1 else lines[0]
    note = (
        "Percentage points ± paired standard error; p: McNemar's exact test, for ACR the paired "
        "t-test; not "
        "corrected for the number of comparisons."
    )
    doubt = (
        ["Differences too small to claim (below 1.96 standard errors):\n", *weak] if weak else []
    )
    return "\n".join([table, "", note, "", *doubt, *apart]).rstrip() + "\n"


def _probabilities(runs: Sequence[Run]) -> str:
    if not runs:
        return ""
    kinds = ("base classifier under noise", "majority vote", "certified (r=0)")
    lines = ["## Three accuracies\n", md_row("method", *kinds), md_rule(4)]
    for run in runs:
        values = (
            base_accuracy_under_noise(run.log),
            majority_accuracy(run.log),
            certified_accuracy(run.log, 0.0),
        )
        lines.append(md_row(run.name, *(f"{100 * value:.1f}" for value in values)))
    lines += [
        "\n## Probability of the true class under noise\n",
        md_row("method", *(f"{100 * q:g} %" for q in QUANTILES)),
        md_rule(len(QUANTILES) + 1),
    ]
    lines += [
        md_row(run.name, *map("{:.4f}".format, label_probability_quantiles(run.log, QUANTILES)))
        for run in runs
    ]
    return "\n".join(
        [
            *lines,
            "",
            "Quantiles over all images, abstained and misclassified ones included: ACR can be "
            "raised on easy images alone, this distribution shows the others too.\n",
        ]
    )


def _provenance(runs: Sequence[Run]) -> str:
    return "\n".join(["## Provenance\n", *(f"- {run.name}: {_origin(run)}" for run in runs)]) + "\n"


def _origin(run: Run) -> str:
    settings = [
        f"{name} {run.setting(key)}"
        for key, name in _SETTINGS.items()
        if run.setting(key) is not None
    ]
    nested = [
        f"{name} {part[key]}"
        for (group, key), name in _NESTED_SETTINGS.items()
        if isinstance(part := run.setting(group), dict) and part.get(key) is not None
    ]
    text = f"{len(run.log):,} images; " + (
        ", ".join(settings + nested) or "configuration not in the record"
    )
    text += _derivation(run)
    spent = run.setting("alpha_spent") or run.setting(
        "alpha"
    )  # of a run that was tested again, both tests'
    if spent is None:
        return text + "."
    mean, most = false_certificates(len(run.log), float(spent))
    return (
        f"{text}; false certificates: at most {mean:g} expected, at most {most} with "
        "probability 99.9 %."
    )


def _derivation(run: Run) -> str:
    """What ``rsmooth restate`` made a record of, and for how many certificates together."""
    together, sources = run.setting("statements") or 1, run.setting("derived_from")
    text = (
        f", joint over {together} certificates at {together * run.setting('alpha'):.4g}"
        if together > 1
        else ""
    )
    return (
        text
        if not sources
        else f"{text}, restated from {' and '.join(each['file'] for each in sources)}"
    )


def _caveats(runs: Sequence[Run]) -> str:
    found = caveats(runs)
    return (
        "\n".join(["## Read with care\n", *(f"- {caveat}" for caveat in found)]) + "\n"
        if found
        else ""
    )


def _p(value: float) -> str:
    return f"p={value:.2g}" if value >= 1e-3 else "p<0.001"
