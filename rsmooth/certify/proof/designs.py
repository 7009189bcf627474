"""What a sequential test leaves open: where it looks, how it spends alpha, how it selects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsmooth.certify.proof.sequential import HitsDistribution, default_looks, spending
from rsmooth.plumbing.numbers import check_integer


@dataclass(frozen=True, kw_only=True)
class SequentialDesign:
    """The design of the exact tests of modes "radius" and "grid", and of their selection.

        SequentialDesign().looks(100_000)           # (32, 38, 46, ...)
        SequentialDesign().selection_sizes(100)     # (16, 32, 64, 100)

    start, growth: the looks are at start, start * growth, ... samples.
    final_share: the part of alpha that is spent at the last look. The others share the rest
        equally.
    power_loss: the largest share that is given up early, of the images that would be certified with
        probability 90 %.
    selection: the sample sizes below n0 at which the selection may end.
    lead: it ends where the first class has so many votes more than the second. The votes that
        select are not those that test, so this can cost power, and never soundness.

    The level of the tests is exact whatever the design (``design``). Other designs than
    ``FIRST_DESIGN`` were chosen by their expected samples on published logs: python -m benchmarks
    certify-samples --logs. ValueError for values that no test can have.
    """

    start: int = 32
    growth: float = 1.2
    final_share: float = 0.5
    power_loss: float = 0.06
    selection: tuple[int, ...] = (16, 32, 64)
    lead: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", check_integer(self.start, "start", 32))
        object.__setattr__(self, "lead", check_integer(self.lead, "lead", 16))
        sizes = tuple(check_integer(size, "selection size", 16) for size in self.selection)
        object.__setattr__(self, "selection", sizes)
        for name in ("growth", "final_share", "power_loss"):
            object.__setattr__(self, name, float(getattr(self, name)))
        default_looks(1, start=self.start, growth=self.growth)  # refuses other values
        spending(0.001, 2, self.final_share)
        if not 0.0 <= self.power_loss < 0.5:
            raise ValueError(f"expected a power loss in [0, 0.5), got {self.power_loss!r}")
        if list(sizes) != sorted({size for size in sizes if size > 0}) or self.lead < 1:
            raise ValueError(
                f"expected growing selection sizes and a lead >= 1, got {sizes} and {self.lead}"
            )

    def looks(self, max_n: int) -> tuple[int, ...]:
        """The sample sizes at which an image is judged; ``default_looks``."""
        return default_looks(max_n, start=self.start, growth=self.growth)

    def selection_sizes(self, n0: int) -> tuple[int, ...]:
        """The sample sizes at which the selection may end; the last one is n0."""
        return (*(size for size in self.selection if size < n0), n0)

    def selects(self, votes: NDArray[np.int64]) -> bool:
        """Whether votes (K,) select a class before all n0 are drawn."""
        ordered = np.sort(votes)
        second = int(ordered[-2]) if votes.size > 1 else 0
        return int(ordered[-1]) - second >= self.lead

    def expected_selection(self, p: float, n0: int) -> float:
        """The exact mean number of selection samples of two classes with vote shares p and 1 - p.

        More classes than two make the second one smaller, and the selection no longer.
        """
        stream, drawn, mean = HitsDistribution(p), 0, 0.0
        for size in self.selection_sizes(n0):
            stream.draw(size - drawn)
            drawn = size
            if size < n0:
                ended = stream.stop_at_least(-(-(size + self.lead) // 2))
                ended += stream.stop_at_most((size - self.lead) // 2)
            else:
                ended = float(stream.mass.sum())
            mean += size * ended
        return mean

    def record(self) -> dict[str, Any]:
        """The design as JSON values."""
        return {**asdict(self), "selection": list(self.selection)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> SequentialDesign:
        """The design that ``record`` wrote; ValueError for another one."""
        try:
            return cls(**{**record, "selection": tuple(record["selection"])})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f"expected a sequential design as this version writes it, got {record!r} "
                f"({error}); go on with the version that wrote it"
            ) from None


PRESENT_DESIGN = SequentialDesign()
# Of runs whose record names no design: they are older than the choice.
FIRST_DESIGN = SequentialDesign(
    growth=math.sqrt(2.0), final_share=0.5, power_loss=0.01, selection=(), lead=1
)
