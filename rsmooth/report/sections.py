"""The sections of a report: what a group of runs shows, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from rsmooth.plumbing.numbers import rounded_down
from rsmooth.records.log import image_difference
from rsmooth.records.metrics import (
    base_accuracy_under_noise,
    certified_accuracy,
    high_probability_accuracy,
    label_probability_quantiles,
    majority_accuracy,
)
from rsmooth.records.statistics import (
    accuracy_interval,
    compare,
    false_certificates,
    radius_interval,
)
from rsmooth.report.blocks import Grid, Items, Part, Section
from rsmooth.report.caveats import caveats
from rsmooth.report.collecting import LeftOut
from rsmooth.report.runs import Run
from rsmooth.report.tables import Table, averages, cells_of, header_of, winners

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SETTINGS = ("mode", "target", "seed", "rsmooth")
_NESTED_SETTINGS = {
    ("dataset", "name"): "data",
    ("dataset", "split"): "split",
    ("noise", "kind"): "noise",
    ("noise", "arithmetic"): "noise",
    ("dataset", "fingerprint"): "fingerprint",
    ("model", "hash"): "model",
}


def overview(tables: Sequence[Table]) -> list[Section]:
    """Why there are several tables; nothing where there is one."""
    if len(tables) < 2:
        return []
    named = "; ".join(table.caption for table in tables)
    text = (
        f"The runs state different things, and each norm and kind has a table of its own: {named}. "
        "Figures of one table are not to be compared with those of another, but at linf radii, to "
        "which containment of balls converts all norms (--linf)."
    )
    return [Section("", (text,))]


def table_section(runs: Sequence[Run], table: Table) -> list[Section]:
    """The table of a group under its heading, with what its columns mean, and the best runs."""
    acr = "; ACR: average certified radius" if table.kind == "probabilistic" else ""
    if not all(run.asked is None for run in runs):
        acr += "; -: not decided, since the run was asked about other radii"
    also = ", and so at that l1 radius" if table.norm == "l2" else ""
    grid = Grid(tuple(header_of(table)), tuple(tuple(cells_of(row)) for row in table.rows))
    meaning = (
        f"{_certainty(runs)} Accuracies in %, each ± "
        "its standard error over the images. clean: correct and not abstained; r: certified at "
        f"that {table.norm} radius{also}{acr}. training: time, of the processor where it says CPU; "
        "after > without that of models it was made from. certification: real time, summed over "
        "the images."
    )
    return [Section(table.caption, (grid, meaning, *_best_runs(runs, table)))]


def _certainty(runs: Sequence[Run]) -> str:
    """How sure the certificates are, and by which method: of all runs, or of each."""
    found: dict[str, list[str]] = {}
    for run in runs:
        steps = run.setting("converted") or []
        said = "".join(f", converted from {step['from']} by containment" for step in steps)
        words = f"{run.statement}, {run.statement.method}{said}"
        found.setdefault(words, []).append(run.name)
    if len(found) == 1:
        return f"Certificates: {next(iter(found))}."
    parts = (f"{', '.join(names)}: {words}" for words, names in found.items())
    return f"Certificates: {'; '.join(parts)}."


def _best_runs(runs: Sequence[Run], table: Table) -> list[Part]:
    """Which run the upper envelope is of, at each radius; nothing without one."""
    envelope = [row.accuracy[1:] for row in table.rows if row.name == "upper envelope"]
    if not envelope:
        return []
    best = zip(table.radius_names, winners(runs, table.radii), envelope[0], strict=True)
    parts = [
        f"r={name} {runs[winner].name}"
        for name, winner, share in best
        if winner is not None and share  # where nothing is certified, no run is best
    ]
    said = "Best run at each radius, chosen on these images, which flatters it"
    return [f"{said}: {', '.join(parts)}."] if parts else []


def intervals_section(runs: Sequence[Run], table: Table) -> list[Section]:
    """Intervals for the distribution of the images, and bounds for these images themselves."""
    sound = [run for run in runs if run.statement.sound]
    if not sound:
        return []
    rows = []
    for run in sound:
        low, high = accuracy_interval(run.log, [0.0, *table.radii])
        spans = [f"{100 * a:.1f} to {100 * b:.1f}" for a, b in zip(low, high, strict=True)]
        cells = _decided_cells([run], table, spans)
        rows.append((run.name, *cells, *_acr(table, _average_interval(run))))
    note = "; for ACR the bootstrap's" if table.kind == "probabilistic" else ""
    parts = (Grid(_header(table), tuple(rows)), f"Wilson's interval{note}.")
    return [Section("95 % intervals", parts, level=3), *_at_least(sound, table)]


def _average_interval(run: Run) -> str:
    if not averages(run):
        return "-"
    low, high = radius_interval(run.log)
    # The average of mode grid is a lower bound, so the upper end says nothing.
    return (
        f"≥ {rounded_down(low, 3)}" if run.setting("mode") == "grid" else f"{low:.3f} to {high:.3f}"
    )


def _at_least(runs: Sequence[Run], table: Table) -> list[Section]:
    """The accuracies less what false certificates may make of them, where alpha is known."""
    known = [run for run in runs if run.statement.alpha is not None]
    if not known:
        return []
    rows = []
    for run in known:
        least = high_probability_accuracy(run.log, [0.0, *table.radii], run.statement.alpha)
        cells = _decided_cells([run], table, [rounded_down(value, 1, times=100) for value in least])
        rows.append((run.name, *cells))
    text = "Certified accuracy in %, less the share of certificates that may be false by alpha."
    parts = (Grid(_header(table, acr=False), tuple(rows)), text)
    return [Section("True of these images with probability 99.9 %", parts, level=3)]


def differences_section(
    runs: Sequence[Run], table: Table, baseline: Run | None = None
) -> list[Section]:
    """Each further sound run against the baseline, image by image where both have the same images.

    baseline: one of the runs; the first sound one by default.
    """
    sound = [run for run in runs if run.statement.sound]
    if len(sound) < 2:
        return []
    first = sound[0] if baseline is None else baseline
    rows, weak, apart = [], [], []
    for run in sound:
        if run is first:
            continue
        hindrance = image_difference(first.log, run.log)
        if hindrance is None and len(first.log) < 2:
            hindrance = "one image gives no standard error"
        if hindrance is not None:
            apart.append(f"{run.name} cannot be paired with {first.name}: {hindrance}.")
            continue
        cells, claims = _paired(first, run, table)
        rows.append((run.name, *cells))
        weak += [f"{run.name}: {claim}." for claim in claims]
    acr = ", for ACR the paired t-test" if table.kind == "probabilistic" else ""
    note = (
        f"Percentage points ± paired standard error; p: McNemar's exact test{acr}; not corrected "
        "for the number of comparisons."
    )
    doubt = "Differences too small to claim (below 1.96 standard errors):"
    parts: list[Part] = [Grid(_header(table), tuple(rows)), note] if rows else []
    parts += [Items(doubt, tuple(weak))] if weak else []
    parts += [Items("", tuple(apart))] if apart else []
    return [Section(f"Paired differences to {first.name}", tuple(parts), level=3)]


def _paired(first: Run, second: Run, table: Table) -> tuple[list[str], list[str]]:
    """The cells of a comparison, and the differences in it that are too small to claim."""
    decided = [r for r in (0.0, *table.radii) if first.decided(r) and second.decided(r)]
    paired = compare(first.log, second.log, decided)
    differences = iter(
        f"{100 * d:+.1f} ± {100 * e:.1f} ({_p(p)})"
        for d, e, p in zip(paired.accuracy, paired.accuracy_error, paired.accuracy_p, strict=True)
    )
    cells = [next(differences) if r in decided else "-" for r in (0.0, *table.radii)]
    averaged = first.asked == second.asked and averages(first)
    mean = f"{paired.radius:+.3f} ± {paired.radius_error:.3f} ({_p(paired.radius_p)})"
    claims = paired.weak_claims(average=table.kind == "probabilistic" and averaged)
    return [*cells, *_acr(table, mean if averaged else "-")], claims


def _decided_cells(runs: Sequence[Run], table: Table, cells: Sequence[str]) -> list[str]:
    """Cells at radius 0 and at those of the table; a dash where a run did not decide it."""
    return [
        cell if all(run.decided(radius) for run in runs) else "-"
        for radius, cell in zip((0.0, *table.radii), cells, strict=True)
    ]


def _header(table: Table, *, acr: bool = True) -> tuple[str, ...]:
    radii = (f"r={name}" for name in table.radius_names)
    return ("method", "clean", *radii, *(_acr(table, "ACR") if acr else []))


def _acr(table: Table, cell: str) -> list[str]:
    """The cell of the average certified radius, which deterministic tables lack."""
    return [cell] if table.kind == "probabilistic" else []


def votes_section(runs: Sequence[Run]) -> list[Section]:
    """What the votes show, for runs that kept them."""
    if not runs:
        return []
    kinds = ("method", "base classifier under noise", "majority vote", "certified (r=0)")
    rows = tuple((run.label, *_three_accuracies(run)) for run in runs)
    levels = ("method", *(f"{100 * q:g} %" for q in QUANTILES))
    quantiles = tuple(
        (run.label, *map("{:.4f}".format, label_probability_quantiles(run.log, QUANTILES)))
        for run in runs
    )
    note = (
        "Quantiles over all images, abstained and misclassified ones included: ACR can be "
        "raised on easy images alone, this distribution shows the others too."
    )
    return [
        Section("Three accuracies", (Grid(kinds, rows),), level=3),
        Section(
            "Probability of the true class under noise", (Grid(levels, quantiles), note), level=3
        ),
    ]


def _three_accuracies(run: Run) -> tuple[str, str, str]:
    base, majority = base_accuracy_under_noise(run.log), majority_accuracy(run.log)
    certified = float(certified_accuracy(run.log, 0.0))
    shown = f"{100 * certified:.1f}" if run.decided(0.0) else "-"
    return f"{100 * base:.1f}", f"{100 * majority:.1f}", shown


def provenance_section(runs: Sequence[Run]) -> list[Section]:
    """Where each run comes from, and how many of its certificates may be false."""
    lines = tuple(f"{run.name}: {_origin(run)}" for run in runs)
    return [Section("Provenance", (Items("", lines),))]


def _origin(run: Run) -> str:
    given = {"n0": run.setting("n0"), "n": run.setting("n"), "α": run.statement.alpha}
    given |= {key: run.setting(key) for key in _SETTINGS}
    given |= {
        name: part[key]
        for (group, key), name in _NESTED_SETTINGS.items()
        if isinstance(part := run.setting(group), dict) and key in part
    }
    words = [f"{name} {value}" for name, value in given.items() if value is not None]
    proved = run.statement.method if run.statement.kind == "deterministic" else run.noise_words
    known = ", ".join([*filter(None, [proved]), *words])
    text = f"{_images(run)}; {known or 'configuration not recorded'}{_derivation(run)}"
    if run.statement.alpha is None:
        return text + "."
    mean, most = false_certificates(len(run.log), run.statement.alpha)
    return (
        f"{text}; false certificates: at most {mean:g} expected, at most {most} with "
        "probability 99.9 %."
    )


def _images(run: Run) -> str:
    whole = run.setting("cut_from")
    said = f"{len(run.log):,} images"
    return said if whole is None else f"{said}, of its {whole:,} those that all have"


def _derivation(run: Run) -> str:
    """How ``rsmooth restate`` made a record, and which conversions of norms it went through."""
    together, sources = run.setting("statements") or 1, run.setting("derived_from")
    text = ""
    if together > 1 and run.statement.alpha is not None:
        text = f", joint over {together} certificates at {together * run.statement.alpha:.4g}"
    if sources:
        text += f", restated from {' and '.join(each['file'] for each in sources)}"
    for step in run.setting("converted") or []:
        text += f", converted from {step['from']} to {step['to']} over {step['dimension']} values"
    return text


def caveats_section(runs: Sequence[Run], left_out: Sequence[LeftOut] = ()) -> list[Section]:
    """What to read with care, and which runs are not shown; empty without any."""
    found = [*caveats(runs), *(f"{each.source}: {each.reason}" for each in left_out)]
    return [Section("Read with care", (Items("", tuple(found)),))] if found else []


def _p(value: float) -> str:
    return f"p={value:.2g}" if value >= 1e-3 else "p<0.001"
