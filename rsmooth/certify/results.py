"""What certify and predict return."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rsmooth.certify.votes.requests import Outcome
from rsmooth.plumbing.numbers import rounded_down
from rsmooth.plumbing.tensors import Labels, check_labels
from rsmooth.records.log import ABSTAIN, CertificationLog, FloatArray
from rsmooth.records.metrics import certified_accuracy
from rsmooth.records.noise import noise_words
from rsmooth.records.pixels import named
from rsmooth.records.statement import Norm, Statement

MOST_ROWS = 20  # of images that a notebook shows


@dataclass(frozen=True, repr=False, eq=False)
class Certificates:
    """Certified labels and radii of a batch, with the votes that they follow from.

        result = certify(g, x)
        result.label, result.radius, result.norm        # (B,), (B,), "l2"
        result.accuracy(y, radii=[0.25, 0.5])           # certified accuracies
        write_log(result.to_log(y), "certificates.tsv")

    label: (B,) int64; ABSTAIN = -1 where nothing is certified.
    radius: (B,) float64, in [0, 1] pixel units and in the norm ``norm``. Rounded down; 0.0 where
        nothing is certified.
    counts: (B, K) votes of the estimation, per class.
    invalid: (B,) copies of the estimation without finite logits.
    selection: (B, K) votes of the selection, or None where the classes were given.
    samples: (B,) samples drawn for the estimation.
    looks: per image, the pairs (n_k, hits) at which it was judged.
    provenance: noise, statement, n0, n, alpha, mode, seed and numerics; sigma of Gaussian noise;
        the model with its hash.
    pixels: (B,) int64, a hash of each image; None where the images are not known.
    index: (B,) int64, what chose the noise of each image; None where its pixels did.

    Each certificate is wrong with probability at most alpha. So up to alpha * B wrong ones are
    expected in a batch of B images.
    """

    label: Tensor
    radius: Tensor
    counts: Tensor
    invalid: Tensor
    selection: Tensor | None
    samples: Tensor
    looks: tuple[tuple[tuple[int, int], ...], ...]
    provenance: dict[str, Any]
    pixels: Tensor | None = None
    index: Tensor | None = None

    @classmethod
    def of(
        cls,
        outcomes: Sequence[Outcome],
        num_classes: int,
        provenance: dict[str, Any],
        pixels: Tensor | None = None,
        index: Tensor | None = None,
    ) -> Certificates:
        """The certificates of a batch from the outcomes of its images."""
        chosen = [outcome.selection for outcome in outcomes if outcome.selection is not None]
        return cls(
            label=_column([outcome.label for outcome in outcomes], torch.int64),
            radius=_column([outcome.radius for outcome in outcomes], torch.float64),
            counts=_stack([outcome.counts for outcome in outcomes], num_classes),
            invalid=_column([outcome.invalid for outcome in outcomes], torch.int64),
            selection=_stack(chosen, num_classes) if len(chosen) == len(outcomes) else None,
            samples=_column([outcome.samples for outcome in outcomes], torch.int64),
            looks=tuple(outcome.looks for outcome in outcomes),
            provenance=provenance,
            pixels=pixels,
            index=index,
        )

    def __len__(self) -> int:
        return len(self.label)

    @property
    def statement(self) -> Statement:
        """Norm, kind, alpha and method of the certificates."""
        return Statement.of(self.provenance)

    @property
    def norm(self) -> Norm:
        """The norm of the radii: "l1", "l2" or "linf"."""
        return self.statement.norm

    def accuracy(self, y: Labels, radii: ArrayLike = 0.0) -> FloatArray:
        """Certified accuracy, as fractions, at ``radii`` of any shape in the norm ``norm``.

            result.accuracy(y, radii=[0.0, 0.5])    # array([0.95, 0.80])

        y: true labels (B,), a tensor, an array or a list. Errors are those of ``to_log`` and
            ``certified_accuracy``.
        """
        return certified_accuracy(self.to_log(y), radii)

    def to_log(self, y: Labels, *, idx: ArrayLike | None = None) -> CertificationLog:
        """The certificates as a record, for files, reports and metrics.

            write_log(result.to_log(y, idx=[0, 20, 40]), "certificates.tsv")

        y: true labels (B,), a tensor, an array or a list.
        idx: positions (B,) of the images in their data set; 0..B-1 by default.

        So that the votes can be drawn again, ``provenance["keyed_by"]`` says what chose the noise
        of an image: its "pixels", its "idx", or an "index" whose fingerprint is there too. The
        times are 0, because the time of a batch is not known per image. ValueError for labels
        of another shape or class. RecordError for an idx that repeats.
        """
        y = check_labels(y, len(self), self.counts.shape[1])
        truth, predict = y.cpu().numpy(), self.label.numpy()
        places = np.arange(len(self)) if idx is None else np.asarray(idx)
        log = CertificationLog(
            idx=places,
            label=truth,
            predict=predict,
            radius=self.radius.numpy(),
            correct=predict == truth,
            time=np.zeros(len(self)),
            counts=self.counts.numpy(),
            selection=None if self.selection is None else self.selection.numpy(),
            samples=self.samples.numpy(),
            invalid=self.invalid.numpy(),
            provenance=dict(self.provenance),
        )
        if self.pixels is not None:
            index = None if self.index is None else self.index.numpy()
            log.provenance.update(named(places, self.pixels.numpy(), index))
        return log

    def to_pandas(self) -> Any:
        """A pandas DataFrame of label, radius, samples, invalid, and the votes per class.

            result.to_pandas().query("label >= 0").radius.mean()

        ImportError, with the remedy, where pandas is not installed.
        """
        columns = {name: getattr(self, name).numpy() for name in _COLUMNS}
        votes = {f"votes_{k}": self.counts[:, k].numpy() for k in range(self.counts.shape[1])}
        return _pandas().DataFrame({**columns, **votes})

    def __repr__(self) -> str:
        held = self.radius[self.label != ABSTAIN]
        reach = f"{self.norm} radii {_span(held, _proved)}" if len(held) else "no radii"
        said = [noise_words(self.provenance), f"n={self.provenance.get('n')}", str(self.statement)]
        parts = f"{_counted(self.label)}; {reach}; {', '.join(filter(None, said))}"
        return f"Certificates({parts})"

    def _repr_html_(self) -> str:
        """For notebooks: the text of ``repr``, and a table of the first images."""
        names = ["image", "label", f"{self.norm} radius", "samples"]
        rows = [
            [at, _class(int(self.label[at])), _proved(float(self.radius[at])), self.samples[at]]
            for at in range(min(len(self), MOST_ROWS))
        ]
        return _html(repr(self), names, rows, len(self))


_COLUMNS = ("label", "radius", "samples", "invalid")


@dataclass(frozen=True, repr=False, eq=False)
class Predictions:
    """Predicted classes of a batch, with their votes.

        answers = predict(g, x, n=1000)
        answers.label, answers.p_value       # (B,), (B,)

    label: (B,) int64; ABSTAIN = -1 where the votes do not decide.
    counts: (B, K) votes per class.
    invalid: (B,) copies without finite logits.
    p_value: (B,) of the test that the two most frequent answers are equally likely.
    """

    label: Tensor
    counts: Tensor
    invalid: Tensor
    p_value: Tensor

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], num_classes: int) -> Predictions:
        """The predictions of a batch from the outcomes of its images."""
        return cls(
            label=_column([outcome.label for outcome in outcomes], torch.int64),
            counts=_stack([outcome.counts for outcome in outcomes], num_classes),
            invalid=_column([outcome.invalid for outcome in outcomes], torch.int64),
            p_value=_column([outcome.p_value for outcome in outcomes], torch.float64),
        )

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        reach = f"; p-values {_span(self.p_value, '{:.3g}'.format)}" if len(self) else ""
        return f"Predictions({_counted(self.label)}{reach})"

    def _repr_html_(self) -> str:
        """For notebooks: the text of ``repr``, and a table of the first images."""
        rows = [
            [at, _class(int(self.label[at])), f"{float(self.p_value[at]):.3g}"]
            for at in range(min(len(self), MOST_ROWS))
        ]
        return _html(repr(self), ["image", "label", "p-value"], rows, len(self))


def _stack(counts: Sequence[NDArray[np.int64]], num_classes: int) -> Tensor:
    return torch.from_numpy(np.array(counts, dtype=np.int64).reshape(len(counts), num_classes))


def _column(values: Sequence[float | None], dtype: torch.dtype) -> Tensor:
    """Numbers (B,) on the CPU, whatever torch's default device is."""
    return torch.tensor(values, dtype=dtype, device="cpu")


def _counted(label: Tensor) -> str:
    abstained = int((label == ABSTAIN).sum())
    return f"{len(label)} images, {abstained} abstained"


def _span(values: Tensor, show: Callable[[float], str]) -> str:
    low, middle, high = (
        show(float(value)) for value in (values.min(), values.quantile(0.5), values.max())
    )
    return f"{low} to {high}, median {middle}"


def _proved(radius: float) -> str:
    return rounded_down(radius, 4).rstrip("0").rstrip(".")


def _class(label: int) -> str:
    return "abstained" if label == ABSTAIN else str(label)


def _html(caption: str, names: Sequence[str], rows: Sequence[Sequence[object]], images: int) -> str:
    """A table with everything in it escaped: names and noise may come from a foreign record."""

    def line(tag: str, cells: Sequence[object]) -> str:
        inner = "".join(f"<{tag}>{escape(str(_plain(cell)))}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    body = "".join(line("td", row) for row in rows)
    more = f"<p>and {images - len(rows)} more</p>" if images > len(rows) else ""
    return f"<p>{escape(caption)}</p><table>{line('th', names)}{body}</table>{more}"


def _plain(cell: object) -> object:
    return cell.item() if isinstance(cell, Tensor) else cell


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError:
        raise ImportError(
            "expected pandas for to_pandas(), found none; install it (pip install pandas), or "
            "write a table with write_log(result.to_log(y), path)"
        ) from None
