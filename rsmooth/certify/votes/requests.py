"""The vocabulary between an algorithm that needs votes and the engine that draws them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VoteRequest:
    """A request for the votes of an image's noisy copies 0..samples-1 in the noise stream called
    ``purpose``.

    The answer counts them: int64 (K + 1,), the last entry for copies on which a logit was not
    finite.
    """

    purpose: str
    samples: int


@dataclass(frozen=True)
class Outcome:
    """What is known of one image: the certified (or predicted) label, the radius, and the votes
    behind them.

    counts (K,) of the estimation, invalid beside them; selection (K,), None where the class was
    given; samples: drawn for the estimation; looks: (n_k, hits of the class among the first n_k);
    p_value: of prediction, else None.
    """

    label: int
    radius: float
    counts: NDArray[np.int64]
    invalid: int
    selection: NDArray[np.int64] | None
    samples: int
    looks: tuple[tuple[int, int], ...]
    p_value: float | None = None


Procedure = Generator[VoteRequest, NDArray[np.int64], Outcome]
