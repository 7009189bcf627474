"""The contract between an engine that draws votes and the rules that say when one image has had
enough of them.

A rule is a value without a model. From the cumulative hits of one image at the rule's looks it says
"go on" (None) or gives the decision. Images are judged at the looks only; votes drawn past a look
wait for the next one. Each decision holds with probability 1 - alpha however the stream goes, for a
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
    """What the votes of one image show: the certified radius, or an abstention, and the samples
    that it took.

    ``certified`` tells a certificate of radius 0 (the class holds at the image itself) from an
    abstention.
    """

    radius: float
    certified: bool
    samples: int


class StoppingRule(ABC):
    """One mode of certification: the looks, and the decision at each."""

    mode: ClassVar[str]

    @property
    @abstractmethod
    def looks(self) -> tuple[int, ...]:
        """Growing cumulative sample sizes at which an image is judged; at the last one it is
        decided.
        """

    @abstractmethod
    def _judge(self, hits: Hits) -> Decision | None:
        """The decision from the hits at the looks so far, None to go on."""

    def decide(self, hits_by_look: Sequence[int]) -> Decision | None:
        """The decision from the cumulative hits at the looks so far, or None: sample on to the next
        look.

        A pure function. ValueError for hits that no stream can have at these looks.
        """
        hits = np.asarray(hits_by_look, dtype=np.int64)
        if hits.ndim != 1 or not 0 < hits.size <= len(self.looks):
            raise ValueError(
                f"expected the hits at 1..{len(self.looks)} looks, got {hits_by_look!r}"
            )
        new, drawn = np.diff(hits, prepend=0), np.diff(self.looks[: hits.size], prepend=0)
        if (new < 0).any() or (new > drawn).any():
            raise ValueError(
                f"expected cumulative hits at the sample sizes {self.looks[: hits.size]}, got "
                f"{hits_by_look!r}; count each look's hits from the first sample on"
            )
        return self._judge(hits)
