"""Certificates of one run as arrays, and what every such log must satisfy.

Rows are in increasing order of ``idx``, and none is there twice. Every row is consistent in itself.
The log says in which norm its radii are. So whatever reads logs can be short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rsmooth.plumbing.errors import RecordError as RecordError
from rsmooth.plumbing.numbers import check_radius
from rsmooth.records.noise import noise_words
from rsmooth.records.statement import Norm, Statement

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

ABSTAIN = -1
COLUMNS = ("idx", "label", "predict", "radius", "correct", "time")
VOTES = ("counts", "selection", "samples", "invalid")
PROOFS = ("proved_by", "margin")
_TYPES = {
    "radius": ("iuf", "numbers"),
    "time": ("iuf", "numbers"),
    "correct": ("biuf", "0 or 1"),
    "margin": ("iuf", "numbers"),
    "proved_by": ("U", "names"),
}  # the kinds of numpy's types, and their words; of all other columns, integers
_CUMULATIVE = (
    "some tools write the running number of correct images there: write predict == label instead"
)


@dataclass(frozen=True, eq=False, repr=False)
class CertificationLog:
    """Certificates of N images, sorted by ``idx`` on construction.

        log = read_log("sigma_0.25")
        log.statement.norm                                # "l2": what ``radius`` is a radius of

    Columns, each (N,):

    idx: position in the data set.
    label: true class.
    predict: certified class, or -1 for an abstention.
    radius: certified radius in [0, 1] pixel units and in the norm of ``statement``; 0 for an
        abstention.
    correct: whether predict equals label.
    time: seconds.

    Where the run kept its votes; None in published tables and deterministic logs:

    counts: (N, K) estimation votes per class.
    selection: (N, K) votes that chose the class.
    samples: (N,) samples drawn for the estimation.
    invalid: (N,) samples without a vote.

    Where the run proved its certificates by bounds, else None:

    proved_by: (N,) what proved the radius, such as "crown-ibp"; "" where nothing is proved.
    margin: (N,) the smallest proved margin at that radius, 0 where there is none.

    ``provenance`` is the configuration of the run, empty if unknown. ``statement`` follows from it:
    norm, kind, alpha and method. Where the provenance names none of them, radii are Gaussian l2
    certificates, as in published tables.

    RecordError for a row that contradicts itself, a repeated idx, a NaN, columns of other shapes or
    types, votes that are not one per sample, and an unknown norm, kind or noise.
    """

    idx: IntArray
    label: IntArray
    predict: IntArray
    radius: FloatArray
    correct: BoolArray
    time: FloatArray
    counts: IntArray | None = None
    selection: IntArray | None = None
    samples: IntArray | None = None
    invalid: IntArray | None = None
    proved_by: NDArray[np.str_] | None = None
    margin: FloatArray | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    statement: Statement = field(init=False)

    def __post_init__(self) -> None:
        columns = {name: np.asarray(getattr(self, name)) for name in COLUMNS}
        columns |= {
            name: np.asarray(value)
            for name in (*VOTES, *PROOFS)
            if (value := getattr(self, name)) is not None
        }
        lengths = {name: column.shape[:1] for name, column in columns.items()}
        if len(set(lengths.values())) != 1 or lengths["idx"] == ():
            raise RecordError(f"expected columns of one length (N,), got {lengths}")
        for name, column in columns.items():
            _check_column(name, column)
        fault = first_fault(*(columns[name] for name in COLUMNS))
        if fault is not None:
            raise RecordError(f"row {fault[0]}: {fault[1]}")
        order = np.argsort(columns["idx"], kind="stable")
        for name, column in columns.items():
            object.__setattr__(self, name, _typed(name, column)[order])
        object.__setattr__(self, "statement", Statement.of(self.provenance))
        self._check_votes()

    @classmethod
    def deterministic(
        cls,
        label: ArrayLike,
        predict: ArrayLike,
        radius: ArrayLike,
        *,
        norm: Norm,
        method: str,
        epsilons: Sequence[float] = (),
        sound: bool = True,
        idx: ArrayLike | None = None,
        time: ArrayLike | None = None,
        proved_by: Sequence[str] | None = None,
        margin: ArrayLike | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> CertificationLog:
        """A log of deterministic certificates, such as those of interval bounds.

            CertificationLog.deterministic([0, 1], [0, 1], [2 / 255, 0.0], norm="linf",
                                           method="ibp", epsilons=[2 / 255])

        label, predict: classes (N,).
        radius: (N,) proved radius in ``norm``, 0 where none is.
        epsilons: the radii that were tried, where the method proves single radii only.
        sound: False for a rule that is known to prove nothing.
        idx: (N,), 0..N-1 by default.
        time: (N,) seconds, 0 by default.
        proved_by, margin: (N,), as in the class.
        provenance: further entries.

        RecordError as of the class. ValueError for epsilons that are no radii.
        """
        classes, answers = np.asarray(label), np.asarray(predict)
        said = Statement(norm=norm, kind="deterministic", method=method, sound=sound)
        asked = {"epsilons": [check_radius(radius) for radius in epsilons]} if len(epsilons) else {}
        return cls(
            idx=np.arange(len(classes)) if idx is None else np.asarray(idx),
            label=classes,
            predict=answers,
            radius=np.asarray(radius),
            correct=answers == classes,
            time=np.zeros(len(classes)) if time is None else np.asarray(time),
            proved_by=None if proved_by is None else np.asarray(proved_by, dtype=np.str_),
            margin=None if margin is None else np.asarray(margin, dtype=np.float64),
            provenance={**(provenance or {}), **asked, "statement": said.record()},
        )

    def __len__(self) -> int:
        return len(self.idx)

    def __repr__(self) -> str:
        held = self.radius[self.predict != ABSTAIN]
        low, middle, high = np.quantile(held, [0.0, 0.5, 1.0]) if len(held) else (0.0, 0.0, 0.0)
        parts = [
            f"{len(self)} images, {len(self) - len(held)} abstained",
            f"{int(self.correct.sum())} correct",
            f"{self.statement.measure} radii {low:.3g} to {high:.3g}, median {middle:.3g}",
            *filter(None, [noise_words(self.provenance)]),
            *([f"n={self.provenance['n']}"] if "n" in self.provenance else []),
            str(self.statement),
        ]
        return f"CertificationLog({'; '.join(parts)})"

    def _check_votes(self) -> None:
        given = {name: value for name in VOTES if (value := getattr(self, name)) is not None}
        for name, column in given.items():
            below = np.flatnonzero((column < 0).any(axis=tuple(range(1, column.ndim))))
            if len(below):
                raise RecordError(
                    f"expected {name} >= 0 at idx {self.idx[below[0]]}, got {column[below[0]]}"
                )
        if self.counts is None or self.samples is None:
            return
        voted = self.counts.sum(axis=1) + (0 if self.invalid is None else self.invalid)
        unsound = (voted > self.samples) | (self.invalid is not None) & (voted < self.samples)
        if unsound.any():
            row = int(np.flatnonzero(unsound)[0])
            raise RecordError(
                f"expected one vote per sample at idx {self.idx[row]}, got {voted[row]} votes of "
                f"{self.samples[row]} samples"
            )


def check_log(log: CertificationLog) -> CertificationLog:
    """The log itself; TypeError, with the remedy, for anything else.

        check_log(read_log("runs/a"))

    The result of ``certify`` has columns of the same names, but its label is the predicted class.
    """
    if not isinstance(log, CertificationLog):
        raise TypeError(
            f"expected a CertificationLog, got {type(log).__name__}; read_log reads one from a "
            "file, and the result of certify gives one by to_log(y), and accuracies by "
            "accuracy(y, radii)"
        )
    return log


def no_votes(log: CertificationLog) -> RecordError:
    """The error for a log without vote counts, which says why it has none."""
    why = "published tables do not hold them: certify with this package to have them"
    if log.statement.kind == "deterministic":
        why = "deterministic certificates need no votes, and hold as they are, all at once"
    return RecordError(f"expected a log with vote counts, got one without; {why}")


def first_fault(
    idx: NDArray[Any],
    label: NDArray[Any],
    predict: NDArray[Any],
    radius: NDArray[Any],
    correct: NDArray[Any],
    time: NDArray[Any],
) -> tuple[int, str] | None:
    """The first row (from 0) that no certification can have written, and why; None without one."""
    return next(iter(faults(idx, label, predict, radius, correct, time)), None)


def faults(
    idx: NDArray[Any],
    label: NDArray[Any],
    predict: NDArray[Any],
    radius: NDArray[Any],
    correct: NDArray[Any],
    time: NDArray[Any],
) -> list[tuple[int, str]]:
    """All rows (from 0) that no certification can have written, each with why."""
    first_seen = np.zeros(len(idx), dtype=bool)
    first_seen[np.unique(idx, return_index=True)[1]] = True
    checks = (
        ((idx < 0) | (label < 0), "expected idx and label >= 0"),
        (~first_seen, "expected every idx once, got it again"),
        (predict < ABSTAIN, "expected a predicted class >= 0, or -1 for an abstention"),
        (~(np.isfinite(radius) & (radius >= 0)), "expected a finite radius >= 0"),
        ((radius > 0) & (predict == ABSTAIN), "expected radius 0 for an abstention (predict -1)"),
        ((correct != 0) & (correct != 1), f"expected 0 or 1 in column correct ({_CUMULATIVE})"),
        (
            correct != (predict == label),
            f"expected correct to be 1 exactly where predict equals label ({_CUMULATIVE})",
        ),
        (~(np.isfinite(time) & (time >= 0)), "expected a finite time >= 0"),
    )
    bad = np.stack([check for check, _ in checks])
    return [
        (
            int(row),
            f"{checks[int(np.argmax(bad[:, row]))][1]}; got idx {idx[row]}, label {label[row]}, "
            f"predict {predict[row]}, radius {radius[row]}, correct {int(correct[row])}, time "
            f"{time[row]}",
        )
        for row in np.flatnonzero(bad.any(axis=0))
    ]


def check_same_images(logs: Sequence[CertificationLog]) -> None:
    """RecordError unless all logs are of the same images with the same labels.

        check_same_images([read_log("runs/a"), read_log("runs/b")])

    The error names the difference.
    """
    for number, log in enumerate(logs[1:], start=1):
        difference = image_difference(logs[0], log)
        if difference is not None:
            raise RecordError(
                f"expected logs of the same images, but log {number} differs from log 0: "
                f"{difference}; compare runs on the same subset"
            )


def image_difference(first: CertificationLog, second: CertificationLog) -> str | None:
    """How the images of two logs differ, in words; None for the same images with the same labels.

    image_difference(read_log("runs/a"), read_log("runs/b"))
    """
    only = [np.setdiff1d(a.idx, b.idx) for a, b in ((first, second), (second, first))]
    if len(only[0]) or len(only[1]):
        return (
            f"{len(first)} and {len(second)} images, of which {some_of(only[0])} only in the first "
            f"and {some_of(only[1])} only in the second"
        )
    differing = first.idx[first.label != second.label]
    if len(differing):
        return f"other labels at {some_of(differing)}"
    names = [log.provenance.get("dataset", {}) for log in (first, second)]
    prints = [name.get("fingerprint") if isinstance(name, Mapping) else None for name in names]
    if None not in prints and prints[0] != prints[1]:
        return f"data fingerprints {prints[0]} and {prints[1]}"
    return None


def images_asked(log: CertificationLog) -> int:
    """How many images the run was asked for; more than the log has where it is unfinished.

        images_asked(read_log("runs/a"))

    The images of the log where its record does not say.
    """
    data = log.provenance.get("dataset")
    asked = data.get("images") if isinstance(data, Mapping) else None
    return asked if isinstance(asked, int) and asked > len(log) else len(log)


def _check_column(name: str, column: NDArray[Any]) -> None:
    axes, shape = (2, "(N, K)") if name in ("counts", "selection") else (1, "(N,)")
    if column.ndim != axes:
        raise RecordError(f"expected column {name} of shape {shape}, got {column.shape}")
    kinds, words = _TYPES.get(name, ("iu", "integers"))
    if column.size and column.dtype.kind not in kinds:  # an empty list is one of floats to numpy
        raise RecordError(f"expected {words} in column {name}, got {column.dtype}")


def _typed(name: str, column: NDArray[Any]) -> NDArray[Any]:
    if name == "correct":
        return column.astype(np.bool_, copy=False)
    if name == "proved_by":
        return column.astype(np.str_, copy=False)
    numbers = name in ("radius", "time", "margin")
    return column.astype(np.float64 if numbers else np.int64, copy=False)


def some_of(idx: IntArray) -> str:
    """A few of ``idx`` (M,) in words."""
    if not len(idx):
        return "none"
    shown = ", ".join(map(str, idx[:5]))
    return f"idx {shown}" if len(idx) <= 5 else f"{len(idx)} (idx {shown}, ...)"
