"""Several group-sequential tests on one stream of votes, all valid together.

The tests are of H0: p <= p0 for growing p0. They share their looks, and each is at level alpha.
Their acceptance thresholds grow with p0 at every look. Suppose that any acceptance on a stream with
vote share p is wrong. Then the stream has crossed the thresholds of some p0 >= p, and hence those
of the smallest such p0. This has probability at most alpha. So all acceptances of a stream are
right *together* with probability 1 - alpha. The number of tests costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rsmooth.certify.proof.sequential import HitsDistribution, design

Thresholds = NDArray[np.int64]
# Tests below the first number have accepted. Those from the second on are given up. Those between
# are open.
State = tuple[int, int]


@dataclass(frozen=True, eq=False)
class JointTest:
    """Tests of growing p0 on one stream of votes.

        test = joint_design([0.5, 0.8, 0.9], default_looks(1000), alpha=0.001)
        test.advance(test.start, 0, hits=30)

    accept, reject: thresholds (looks, tests), which grow along each row.
    """

    p0: tuple[float, ...]
    alpha: float
    looks: tuple[int, ...]
    accept: Thresholds
    reject: Thresholds

    @property
    def start(self) -> State:
        """The state of a stream before its first look: every test is open."""
        return 0, len(self.p0)

    def advance(self, state: State, look: int, hits: int) -> State:
        """The state after a look at which the stream has this many hits.

        look: the number of the look; 0 is the first.
        """
        accepted = int(np.searchsorted(self.accept[look], hits, side="right"))
        kept = int(np.searchsorted(self.reject[look], hits, side="left"))
        return max(state[0], accepted), min(state[1], kept)

    def state_after(self, hits: NDArray[np.int64]) -> State:
        """The state of a stream with these cumulative hits at its looks so far; one at least.

        What ``advance`` comes to from ``start``, look by look.
        """
        so_far, looks = hits[:, np.newaxis], slice(len(hits))
        accepted = (self.accept[looks] <= so_far).sum(axis=1)  # thresholds grow along each row
        kept = (self.reject[looks] < so_far).sum(axis=1)
        return int(accepted.max()), int(kept.min())

    def outcome(self, p: float) -> tuple[float, NDArray[np.float64]]:
        """The mean number of samples, and the probability that each test accepts, at share p.

        Exact. Sampling ends when no test is open.
        """
        samples, accepted = 0.0, np.zeros(len(self.p0))
        for look, (passed, _), probability in self._endings(p):
            samples += self.looks[look] * probability
            accepted[:passed] += probability
        return samples, accepted

    def type_one_error(self, p: float) -> float:
        """The exact probability that any test with p0 >= p ever accepts; at most alpha.

        The stream is one that never gives up.
        """
        first_null = int(np.searchsorted(self.p0, p, side="left"))
        if first_null == len(self.p0):
            return 0.0
        stream, drawn, wrong = HitsDistribution(p), 0, 0.0
        for size, thresholds in zip(self.looks, self.accept, strict=True):
            stream.draw(size - drawn)
            drawn = size
            wrong += stream.stop_at_least(int(thresholds[first_null:].min()))
        return wrong

    def _endings(self, p: float) -> Iterator[tuple[int, State, float]]:
        """Each way to end: the look, the final state, its probability."""
        running, drawn = {self.start: HitsDistribution(p)}, 0
        for look, size in enumerate(self.looks):
            following: dict[State, HitsDistribution] = {}
            for state, stream in running.items():
                stream.draw(size - drawn)
                for reached, part in self._split(state, look, stream):
                    if reached[1] <= reached[0]:
                        yield look, reached, float(part.mass.sum())
                    else:
                        following[reached] = (
                            following[reached].join(part) if reached in following else part
                        )
            running, drawn = following, size

    def _split(
        self, state: State, look: int, stream: HitsDistribution
    ) -> Iterator[tuple[State, HitsDistribution]]:
        """The running streams of one state by the state that they reach at a look."""
        edges = np.concatenate([self.accept[look], self.reject[look] + 1]) - stream.low
        cuts = np.unique(
            np.concatenate(
                [[0], edges[(edges > 0) & (edges < stream.mass.size)], [stream.mass.size]]
            )
        )
        for first, last in pairwise(cuts.tolist()):
            yield self.advance(state, look, stream.low + first), stream.part(first, last)


def joint_design(
    p0: Sequence[float],
    looks: tuple[int, ...],
    alpha: float,
    *,
    final_share: float = 0.5,
    power_loss: float = 0.01,
) -> JointTest:
    """Group-sequential tests of every p0, made jointly valid at level alpha.

        joint_design([0.5, 0.8, 0.9], default_looks(1000), alpha=0.001)

    p0: vote shares in growing order. The other arguments are those of ``design``.

    Exact designs of neighbouring p0 sometimes cross by a hit or two, because hits are whole. So
    acceptance thresholds are raised to the running maximum over smaller p0, which can only lower an
    error. Giving up is lowered likewise, which can only lower the loss of power. ValueError for p0
    in another order.
    """
    if not p0 or any(later < earlier for earlier, later in pairwise(p0)):
        raise ValueError(f"expected shares p0 in growing order, at least one, got {tuple(p0)}")
    tests = [
        design(float(share), looks, alpha, final_share=final_share, power_loss=power_loss)
        for share in p0
    ]
    accept = np.maximum.accumulate(
        np.array([test.accept for test in tests], dtype=np.int64).T, axis=1
    )
    reject = np.array([test.reject for test in tests], dtype=np.int64).T
    reject[-1] = accept[-1] - 1  # at the last look every test is decided
    reject = np.minimum.accumulate(reject[:, ::-1], axis=1)[:, ::-1]
    if (
        (np.diff(accept, axis=1) < 0).any()
        or (np.diff(reject, axis=1) < 0).any()
        or (reject >= accept).any()
    ):
        raise AssertionError("expected thresholds that grow with p0; joint validity rests on it")
    return JointTest(tuple(float(share) for share in p0), alpha, looks, accept, reject)
