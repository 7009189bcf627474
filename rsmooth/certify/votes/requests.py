"""The vocabulary between an algorithm that needs votes and the engine that draws them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VoteRequest:
    """A request for the votes of copies 0..samples-1 of an image in the noise stream ``purpose``.

        votes = yield VoteRequest("estimate", 1000)

    The answer counts them: int64 (K + 1,). Its last entry is for copies on which a logit was not
    finite.
    """

    purpose: str
    samples: int


@dataclass(frozen=True)
class Outcome:
    """What is known of one image: its label, its radius, and the votes that they follow from.

    label: certified or predicted class, or ABSTAIN.
    counts: (K,) votes of the estimation.
    invalid: copies of the estimation without finite logits.
    selection: (K,) votes of the selection; None where the class was given.
    samples: drawn for the estimation.
    looks: pairs (n_k, hits of the class among the first n_k).
    p_value: of a prediction, else None.
    selected_from: samples drawn for the selection; 0 where the class was given.
    """

    label: int
    radius: float
    counts: NDArray[np.int64]
    invalid: int
    selection: NDArray[np.int64] | None
    samples: int
    looks: tuple[tuple[int, int], ...]
    p_value: float | None = None
    selected_from: int = 0


Procedure = Generator[VoteRequest, NDArray[np.int64], Outcome]
