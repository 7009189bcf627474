"""Methods by radii: one table, and its form in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rsmooth.plumbing.numbers import rounded_down
from rsmooth.records.log import image_difference
from rsmooth.records.metrics import (
    abstention_rate,
    average_certified_radius,
    best_runs,
    certified_accuracy,
    constant_classifier_accuracy,
    predicted_classes,
)
from rsmooth.records.statement import Statement, check_one_group
from rsmooth.records.statistics import accuracy_standard_error, radius_standard_error
from rsmooth.report.runs import Run
from rsmooth.report.training_time import TrainingTime

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One method.

        Row("smoothadv", accuracy=(0.75, 0.6), accuracy_error=(0.02, 0.02))

    accuracy, accuracy_error: fractions at radius 0 (clean) and at each radius of the table; None
        where the run did not decide it.
    acr: average certified radius, of probabilistic certificates.
    acr_is_bound: whether the true average is that or more, as in mode grid.
    noise: in words.
    sigma: of Gaussian noise.
    statement: that of a run. The envelope and the constant classifier have none.

    What is not known, or has no meaning for the row, is None.
    """

    name: str
    accuracy: tuple[float | None, ...]
    accuracy_error: tuple[float | None, ...] | None = None
    acr: float | None = None
    acr_error: float | None = None
    acr_is_bound: bool = False
    noise: str | None = None
    sigma: float | None = None
    images: int | None = None
    abstained: float | None = None
    classes: int | None = None
    training: TrainingTime | None = None
    certify_seconds: float | None = None
    statement: Statement | None = None

    @property
    def sound(self) -> bool:
        """False where the rule behind the certificates is known to prove nothing."""
        return self.statement is None or self.statement.sound


@dataclass(frozen=True)
class Table:
    """Rows over ``radii``, all of one ``norm`` and kind.

        build_table(load_runs(["runs/a", "runs/b"]), radii=[0.25, 0.5])

    radii: without 0, which every row has first.
    same_images: whether all runs are on the same images, so that their figures may be ranked.
    """

    radii: tuple[float, ...]
    rows: tuple[Row, ...]
    norm: str = "l2"
    kind: str = "probabilistic"
    same_images: bool = True

    @property
    def caption(self) -> str:
        """What its certificates are, as in "Certified at l2 radii, probabilistic"."""
        return f"Certified at {self.norm} radii, {self.kind}"

    @property
    def radius_names(self) -> list[str]:
        """The radii as its columns name them."""
        return [radius_name(radius, self.norm) for radius in self.radii]


def build_table(runs: Sequence[Run], radii: Sequence[float]) -> Table:
    """A row per run, the upper envelope, and the constant classifier.

        build_table(load_runs(["runs/a", "runs/b"]), radii=[0.25, 0.5])

    radii: in the norm of the runs.

    The envelope is there for several sound runs on the same images. RecordError for runs of
    different norms or kinds.
    """
    check_one_group([run.statement for run in runs])
    wanted = [0.0, *radii]
    rows = [_row(run, wanted) for run in runs]
    first = runs[0].log
    sound = [k for k, run in enumerate(runs) if run.statement.sound]
    alike = all(image_difference(first, run.log) is None for run in runs[1:])
    if len(sound) > 1 and alike:
        best = tuple(
            None if winner is None else rows[winner].accuracy[k]
            for k, winner in enumerate(winners(runs, wanted))
        )
        rows.append(Row("upper envelope", best, images=len(first)))
    rows.append(_constant(runs, wanted))
    norm, kind = runs[0].statement.group
    return Table(tuple(map(float, radii)), tuple(rows), norm, kind, alike)


def winners(runs: Sequence[Run], radii: Sequence[float]) -> list[int | None]:
    """Which run is best at each radius, among those that decided it; None where none did.

    winners(runs, [0.0, 0.25])      # [1, None]
    """
    found: list[int | None] = []
    for radius in radii:
        able = [k for k, run in enumerate(runs) if run.statement.sound and run.decided(radius)]
        best = best_runs([runs[k].log for k in able], [radius])[0] if able else None
        found.append(None if best is None else able[int(best)])
    return found


def _constant(runs: Sequence[Run], radii: Sequence[float]) -> Row:
    cap = max(run.largest_radius for run in runs)
    share = constant_classifier_accuracy(runs[0].log, radii, cap)
    return Row(
        "constant classifier",
        tuple(map(float, share)),
        acr=_if_probabilistic(runs[0], float(share[0]) * cap),
        images=len(runs[0].log),
        classes=1,
    )


def _if_probabilistic(run: Run, value: float) -> float | None:
    """The value of a probabilistic run, else None.

    A deterministic run proves the radii that were tried. Their average would depend on these.
    """
    return value if run.statement.kind == "probabilistic" else None


def _if_averaged(run: Run, value: float) -> float | None:
    """The value of a probabilistic run that decided more than one radius, else None."""
    return _if_probabilistic(run, value) if averages(run) else None


def averages(run: Run) -> bool:
    """Whether the average of a run's radii says anything: in mode radius they are all alike."""
    return run.asked is None or len(run.asked) > 1


def if_decided(
    run: Run, radii: Sequence[float], values: Iterable[float]
) -> tuple[float | None, ...]:
    """The values at radii (R,) as plain numbers; None at those that the run did not decide."""
    return tuple(
        float(value) if run.decided(radius) else None
        for radius, value in zip(radii, values, strict=True)
    )


def radius_name(radius: float, norm: str) -> str:
    """A radius as tables name it: 0.25, and in linf 2/255."""
    return pixel_fraction(radius) if norm == "linf" else f"{radius:g}"


def pixel_fraction(value: float) -> str:
    """A radius as the field writes it: 2/255 for a whole number of 8-bit steps, else four digits.

    pixel_fraction(2 / 255)      # "2/255"
    """
    steps = round(255 * value)
    return f"{steps}/255" if math.isclose(value, steps / 255, rel_tol=1e-9) else f"{value:.4g}"


def to_markdown(table: Table) -> str:
    """The table in Markdown: percentages and radii, each ± its standard error.

    print(to_markdown(report(["runs/a", "runs/b"]).table))
    """
    header = header_of(table)
    lines = [md_row(*header), md_rule(len(header)), *(md_row(*cells_of(row)) for row in table.rows)]
    return "\n".join(lines) + "\n"


def md_row(*cells: str) -> str:
    """A line of a Markdown table.

    md_row("a", "1.0")      # "| a | 1.0 |"
    """
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def md_rule(columns: int, names: int = 1) -> str:
    """The line below a Markdown table's header: ``names`` to the left, figures to the right.

    md_rule(3)              # "|---|---:|---:|"
    """
    return "|---" * names + "|---:" * (columns - names) + "|"


def percentages(row: Row) -> list[str]:
    """The accuracies of a row in percent, each ± its standard error where it has one.

    Certified ones are in brackets where the row is not sound.
    """
    errors = row.accuracy_error or (None,) * len(row.accuracy)
    shown = [
        _with_error(
            None if value is None else 100 * value, None if error is None else 100 * error, 1
        )
        for value, error in zip(row.accuracy, errors, strict=True)
    ]
    return shown if row.sound else [shown[0], *(f"({cell})" for cell in shown[1:])]


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 3.4 min, 2.1 h."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _row(run: Run, radii: Sequence[float]) -> Row:
    log = run.log
    error = radius_standard_error(log) if len(log) > 1 else None
    return Row(
        run.label,
        if_decided(run, radii, certified_accuracy(log, radii)),
        if_decided(run, radii, accuracy_standard_error(log, radii)),
        acr=_if_averaged(run, average_certified_radius(log)),
        acr_error=None if error is None else _if_averaged(run, error),
        acr_is_bound=averages(run) and run.setting("mode") == "grid",
        noise=run.noise_words,
        sigma=run.sigma,
        images=len(log),
        abstained=abstention_rate(log) if run.decided(0.0) else None,
        classes=predicted_classes(log),
        training=run.training,
        certify_seconds=run.certify_seconds or None,  # tables may have no times
        statement=run.statement,
    )


def header_of(table: Table) -> list[str]:
    """The names of a table's columns."""
    certified = (f"r={name}" for name in table.radius_names)
    last = ("ACR", "abstained", "training", "certification")
    return ["method", "noise", "images", "clean", *certified, *last]


def cells_of(row: Row) -> list[str]:
    """The cells of a row as text, below ``header_of``."""
    acr = average_words(row)
    if row.acr is not None and row.acr_error is not None:
        acr += f" ± {row.acr_error:.3f}"
    return [
        row.name,
        row.noise or "-",
        _known(row.images, "{:,}".format),
        *percentages(row),
        acr if row.sound or row.acr is None else f"({acr})",
        _known(row.abstained, lambda share: f"{100 * share:.1f}"),
        "-" if row.training is None else training_words(row.training),
        _known(row.certify_seconds, duration),
    ]


def training_words(time: TrainingTime) -> str:
    """The time of a training for people, of the clock that counts: "6.1 min CPU".

    "> 6.1 min CPU" where it was made from models whose training is not counted.
    """
    more = "> " if time.partial else ""
    if time.cpu is not None and (time.by_cpu or time.wall is None):
        return f"{more}{duration(time.cpu)} CPU"
    return "-" if time.wall is None else more + duration(time.wall)


def _known(value: T | None, show: Callable[[T], str]) -> str:
    return "-" if value is None else show(value)


def _with_error(value: float | None, error: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if error is None else f"{value:.{digits}f} ± {error:.{digits}f}"


def average_words(row: Row) -> str:
    """The average certified radius; "≥", and rounded down, where the true one is that or more."""
    if row.acr is None:
        return "-"
    return f"≥ {rounded_down(row.acr, 3)}" if row.acr_is_bound else f"{row.acr:.3f}"
