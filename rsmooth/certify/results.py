"""What certify and predict return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.certify.votes.requests import Outcome
from rsmooth.records.statement import Norm, Statement


@dataclass(frozen=True)
class Certificates:
    """Certified labels and radii of a batch, with the votes from which they can be computed again.

    label (B,) int64, ABSTAIN = -1 where nothing is certified; radius (B,) float64, in [0,1] pixel
    units, rounded down, 0.0 where nothing is certified; counts (B, K) of the estimation and invalid
    (B,) beside them; selection (B, K) or None; samples (B,) drawn for the estimation; looks: for
    each image the (n_k, hits) at which it was judged;
    provenance: noise, statement, n0, n, alpha, mode, seed, numerics; sigma of Gaussian noise;
    norm: of the radii, "l2" or "l1".
    Each certificate fails with probability at most alpha; so of B images alpha * B are expected to.
    """

    label: Tensor
    radius: Tensor
    counts: Tensor
    invalid: Tensor
    selection: Tensor | None
    samples: Tensor
    looks: tuple[tuple[tuple[int, int], ...], ...]
    provenance: dict[str, Any]

    @property
    def norm(self) -> Norm:
        """The norm of the radii, as the noise certifies it."""
        return Statement.of(self.provenance).norm

    @classmethod
    def of(
        cls, outcomes: Sequence[Outcome], num_classes: int, provenance: dict[str, Any]
    ) -> Certificates:
        """The outcomes of a batch, side by side."""
        chosen = [outcome.selection for outcome in outcomes if outcome.selection is not None]
        return cls(
            label=torch.tensor([outcome.label for outcome in outcomes], dtype=torch.int64),
            radius=torch.tensor([outcome.radius for outcome in outcomes], dtype=torch.float64),
            counts=_stack([outcome.counts for outcome in outcomes], num_classes),
            invalid=torch.tensor([outcome.invalid for outcome in outcomes], dtype=torch.int64),
            selection=_stack(chosen, num_classes) if len(chosen) == len(outcomes) else None,
            samples=torch.tensor([outcome.samples for outcome in outcomes], dtype=torch.int64),
            looks=tuple(outcome.looks for outcome in outcomes),
            provenance=provenance,
        )


@dataclass(frozen=True)
class Predictions:
    """Predicted labels (B,), ABSTAIN = -1 where the votes do not tell; counts (B, K); invalid and
    p_value (B,).
    """

    label: Tensor
    counts: Tensor
    invalid: Tensor
    p_value: Tensor

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], num_classes: int) -> Predictions:
        """The outcomes of a batch, side by side."""
        return cls(
            label=torch.tensor([outcome.label for outcome in outcomes], dtype=torch.int64),
            counts=_stack([outcome.counts for outcome in outcomes], num_classes),
            invalid=torch.tensor([outcome.invalid for outcome in outcomes], dtype=torch.int64),
            p_value=torch.tensor([outcome.p_value for outcome in outcomes], dtype=torch.float64),
        )


def _stack(counts: Sequence[NDArray[np.int64]], num_classes: int) -> Tensor:
    return torch.from_numpy(np.array(counts, dtype=np.int64).reshape(len(counts), num_classes))
