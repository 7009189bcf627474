"""What an engine that draws votes and a rule that ends the sampling of an image agree on.

A rule is a value without a model. It is given the cumulative hits of one image at its looks. It
answers "go on" (None), or gives the decision. Images are judged only at looks: votes drawn past one
wait for the next. Each decision holds with probability 1 - alpha, however the stream goes, for a
class that was fixed before these votes were counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.int64]


@dataclass(frozen=True)
class Decision:
    """What the votes of one image show: a certified radius, or an abstention.

        Decision(radius=0.5, certified=True, samples=512)

    certified: False for an abstention. A certificate of radius 0 says that the class holds at the
        image itself.
    samples: the number that the decision took.
    """

    radius: float
    certified: bool
    samples: int


def _possible(hits: Sequence[int], looks: Sequence[int]) -> bool:
    """Whether each look adds from no hit to one per sample that was drawn since the one before."""
    before, drawn = 0, 0
    for count, size in zip(hits, looks, strict=False):  # the later looks are still to come
        if not 0 <= count - before <= size - drawn:
            return False
        before, drawn = count, size
    return True


class StoppingRule(ABC):
    """One mode of certification: its looks, and the decision at each.

    FixedRule(Gaussian(0.25), 1000, 0.001).decide([990])
    """

    mode: ClassVar[str]

    @property
    @abstractmethod
    def looks(self) -> tuple[int, ...]:
        """The growing cumulative sample sizes at which an image is judged; the last one decides."""

    def selection_sizes(self, n0: int) -> tuple[int, ...]:
        """The sample sizes at which the selection of the class may end; the last one is n0."""
        return (n0,)

    def selects(self, votes: Hits) -> bool:
        """Whether selection votes (K,) of one of these sizes select a class without more."""
        return False

    @abstractmethod
    def _judge(self, hits: Hits) -> Decision | None:
        """The decision from the hits at the looks so far, or None to go on."""

    def decide(self, hits_by_look: Sequence[int]) -> Decision | None:
        """The decision from the cumulative hits at the looks so far, or None to go on.

            rule.decide([30])          # None: draw up to the next look
            rule.decide([30, 43])

        A pure function. ValueError for hits that no stream can have at these looks.
        """
        hits = np.asarray(hits_by_look, dtype=np.int64)
        if hits.ndim != 1 or not 0 < hits.size <= len(self.looks):
            raise ValueError(
                f"expected the hits at 1..{len(self.looks)} looks, got {hits_by_look!r}; give one "
                "number per look so far"
            )
        if not _possible(hits.tolist(), self.looks):
            raise ValueError(
                f"expected cumulative hits at the sample sizes {self.looks[: hits.size]}, got "
                f"{hits_by_look!r}; count each look's hits from the first sample on"
            )
        return self._judge(hits)
