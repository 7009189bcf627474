"""One table of l_inf certificates of every kind: proved ones beside those of smoothing."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rsmooth.records.metrics import certified_accuracy
from rsmooth.records.norms import covering_radius
from rsmooth.records.statistics import accuracy_standard_error
from rsmooth.report.blocks import Grid, Section
from rsmooth.report.linf import common_dimension
from rsmooth.report.runs import Run
from rsmooth.report.tables import duration, if_decided, pixel_fraction, training_words


@dataclass(frozen=True)
class KindsRow:
    """One run. certified, error, attacked: of clean images and then of each epsilon.

    certified, error: None at a radius that the run did not decide.
    attacked: accuracy under attack, which bounds the true one from above; None where unknown.
    """

    run: Run
    certified: tuple[float | None, ...]
    error: tuple[float | None, ...]
    attacked: tuple[float, ...] | None

    @property
    def certificate(self) -> str:
        """In which norm the certificates are, and how they become l_inf ones."""
        said = self.run.statement
        if not said.sound:
            return "-"
        kind = f"{said.norm}, {said.kind}"
        return kind if said.norm == "linf" else f"{kind}, containment"

    @property
    def proved_by(self) -> str:
        """The methods with the share of proved images that each has proved, or the samples."""
        names = self.run.log.proved_by
        if names is None:
            n = self.run.setting("n")
            return self.run.statement.method if n is None else f"n={int(n):,}"
        counts = Counter(name for name in names.tolist() if name)
        total = sum(counts.values())
        shares = (f"{name} {100 * count / total:.0f} %" for name, count in counts.most_common())
        return ", ".join(shares) or "nothing proved"

    @property
    def failure(self) -> str:
        """The probability that one certificate is wrong."""
        said = self.run.statement
        if not said.sound:
            return "-"
        if said.kind == "deterministic":
            return "0"
        alpha = self.run.statement.alpha
        return "not recorded" if alpha is None else f"{alpha:g} per image"


@dataclass(frozen=True)
class KindsTable:
    """Runs of any norm and kind at the l_inf radii ``epsilons`` (without 0)."""

    epsilons: tuple[float, ...]
    rows: tuple[KindsRow, ...]


def kinds_table(
    runs: Sequence[Run], epsilons: Sequence[float], dimension: int | None = None
) -> KindsTable:
    """All runs at l_inf radii, whatever they state: l1 and l2 balls by containment.

        kinds_table(load_runs(["runs/smoothadv", "runs/ibp"]), [2 / 255])

    dimension: values per image, where a record in another norm does not hold its shape. Errors are
    those of ``linf_table``.
    """
    wanted = sorted({float(epsilon) for epsilon in epsilons if epsilon})
    return KindsTable(tuple(wanted), tuple(_row(run, wanted, dimension) for run in runs))


def _row(run: Run, epsilons: Sequence[float], dimension: int | None) -> KindsRow:
    norm = run.statement.norm
    size = common_dimension([run], dimension, needed=norm != "linf") or 1
    radii = [0.0, *(covering_radius(each, size, "linf", target=norm) for each in epsilons)]
    attacked = run.accuracy_under_attack([0.0, *epsilons])

    return KindsRow(
        run,
        if_decided(run, radii, certified_accuracy(run.log, radii)),
        if_decided(run, radii, accuracy_standard_error(run.log, radii)),
        None if attacked is None else tuple(attacked),
    )


def kinds_section(table: KindsTable) -> list[Section]:
    """The table under its own heading, with what its columns mean."""
    columns = []
    for epsilon in table.epsilons:
        name = pixel_fraction(epsilon)
        columns += [f"linf {name}", f"attacked {name}"]
    last = ("proved by", "failure probability", "training", "certification")
    header = ("method", "certificate", "images", "clean", *columns, *last)
    rows = tuple(tuple(_cells(row)) for row in table.rows)
    note = (
        "In %, ± standard error. The true accuracy of these images lies between the "
        "certified one and that under attack, by PGD (rsmooth audit). Figures in brackets are "
        "of a rule that is known to prove nothing. l1 and l2 balls count by containment. -: not "
        "decided, since the run was asked about other radii, or not attacked."
    )
    return [Section("All certificates at linf radii", (Grid(header, rows, names=2), note))]


def _cells(row: KindsRow) -> list[str]:
    run = row.run
    shown = [
        "-" if a is None or e is None else f"{100 * a:.1f} ± {100 * e:.1f}"
        for a, e in zip(row.certified, row.error, strict=True)
    ]
    if not run.statement.sound:
        shown[1:] = [f"({cell})" for cell in shown[1:]]
    attacked = row.attacked or (None,) * len(shown)
    columns = zip(shown[1:], attacked[1:], strict=True)
    figures = [cell for one, other in columns for cell in (one, _percent(other))]
    return [
        run.label,
        row.certificate,
        f"{len(run.log):,}",
        shown[0],
        *figures,
        row.proved_by,
        row.failure,
        "-" if run.training is None else training_words(run.training),
        duration(run.certify_seconds) if run.certify_seconds else "-",  # of tables without times
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def kinds_csv(table: KindsTable) -> str:
    """One line per run and radius, in full precision: accuracies as fractions."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    said = ("method", "norm", "kind", "sound", "images", "proved_by", "alpha")
    writer.writerow([*said, "linf", "certified", "certified_se", "attacked"])
    for row in table.rows:
        run, stated = row.run, row.run.statement
        own = [run.name, stated.norm, stated.kind, stated.sound, len(run.log), row.proved_by]
        attacked = row.attacked or (None,) * len(row.certified)
        points = zip((0.0, *table.epsilons), row.certified, row.error, attacked, strict=True)
        for values in points:
            writer.writerow([*own, run.statement.alpha, *values])
    return out.getvalue()
